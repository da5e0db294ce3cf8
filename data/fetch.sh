# What the fetch scripts share; they set WHOLE_SECONDS, the longest that one download may take.
CONNECT_SECONDS=10

say() { printf '%s: %s\n' "$(basename "$0")" "$1"; }

# load ADDRESS FILE
load()
{
    if command -v curl > /dev/null; then
        curl -fsL --connect-timeout $CONNECT_SECONDS --max-time "$WHOLE_SECONDS" -o "$2" "$1"
    elif command -v wget > /dev/null; then
        timeout "$WHOLE_SECONDS" wget -q --tries=1 --timeout=$CONNECT_SECONDS -O "$2" "$1"
    else
        return 1
    fi
}

# The content of standard input has the md5 SUM.
has_md5() { found=$(md5sum) && [ "${found%% *}" = "$1" ]; }
