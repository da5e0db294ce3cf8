# What the fetch scripts share; they set WHOLE_SECONDS, the longest that one download may take, and WHAT is loaded.
# Standard output gets the lines that say how it ended, standard error the progress.
CONNECT_SECONDS=10
announced=

say() { printf '%s: %s\n' "$(basename "$0")" "$1"; }

# load ADDRESS FILE: 1 after a line that says why not.
load()
{
    if command -v curl > /dev/null; then
        [ -t 2 ] && bar=--progress-bar || bar=--silent
        announce "$1"
        status=$(curl -fL "$bar" --connect-timeout $CONNECT_SECONDS --max-time "$WHOLE_SECONDS" \
            -w '%{http_code}' -o "$2" "$1")
        why=$(curl_says $?)
    elif command -v wget > /dev/null; then
        announce "$1"
        [ -t 2 ] && bar=--show-progress || bar=--quiet
        timeout "$WHOLE_SECONDS" wget --quiet $bar --tries=1 --timeout=$CONNECT_SECONDS -O "$2" "$1"
        why=$(wget_says $?)
    else
        why='no downloader: neither curl nor wget is installed'
    fi
    [ -z "$why" ] && return 0
    say "$1: $why"
    return 1
}

# Once, before the first download.
announce()
{
    [ -z "$announced" ] && say "downloading $WHAT from ${1%/*}" >&2
    announced=1
}

curl_says() # EXIT STATUS
{
    case $1 in
        0) ;;
        5 | 6) echo 'no route: the name of the host is not known' ;;
        7) echo 'no route: the host does not accept the connection' ;;
        18 | 52 | 55 | 56 | 92) echo 'the connection broke off' ;;
        22) echo "the server answers $status" ;;
        23) echo 'the file cannot be written: is the disk full?' ;;
        28) echo "no answer in time (to connect $CONNECT_SECONDS s, in all $WHOLE_SECONDS s)" ;;
        35 | 51 | 58 | 60 | 66 | 77 | 83) certificate ;;
        37) echo 'no such file' ;;
        *) echo "curl ends with $1" ;;
    esac
}

certificate() { echo 'the certificate of the host cannot be checked: is ca-certificates installed?'; }

wget_says() # EXIT STATUS
{
    case $1 in
        0) ;;
        3) echo 'the file cannot be written: is the disk full?' ;;
        4) echo 'no route: the name of the host is not known, or it does not answer' ;;
        5) certificate ;;
        8) echo 'the server refuses it' ;;
        124) echo "no answer in time (in all $WHOLE_SECONDS s)" ;;
        *) echo "wget ends with $1" ;;
    esac
}
