#!/bin/sh
# .ci/needs and what make says without headers. apt and the user's identity are played by scripts of one line; the compiler is the
# real one, told to know no folder of headers. Prints PASS or FAIL lines for tests/count. Run in the repository's root.
set -u
root=$(mktemp -d) || exit 1
trap 'rm -rf "$root"' EXIT
unset DEPS ONEDNN CFLAGS CI SSL_CERT_FILE CURL_CA_BUNDLE
mkdir "$root/programs"
for program in sh awk sed grep cut tail head uniq mktemp mv rm cat tr env python3 clang spin curl "${CC:-cc}"; do
    real=$(command -v "${program%% *}") && ln -s "$real" "$root/programs"
done
blind="${CC:-cc} -nostdinc"

play() # PROGRAM SCRIPT
{
    rm -f "$root/programs/$1"
    [ -z "$2" ] || { printf '#!/bin/sh\n%s\n' "$2" > "$root/programs/$1" && chmod +x "$root/programs/$1"; }
}

# apt knows the packages KNOWN, and reports sizes.
play_apt() # KNOWN INSTALL
{
    play apt-cache "for name; do case '$1 ' in *\"\$name \"*) printf '%s:\n  Candidate: 1.0\n' \$name ;; esac; done"
    play apt-get "case \"\$*\" in
        *--print-uris*) echo '0 upgraded, 7 newly installed, 0 to remove and 0 not upgraded.'
            echo 'Need to get 1,500 kB/20.1 MB of archives.'
            echo 'After this operation, 88.6 MB of additional disk space will be used.' ;;
        *update*) ;;
        *) $2 ;;
    esac"
}

# expect NAME EXIT PATTERN... of what `sh .ci/needs` says, to which $arguments are given and $compiler is CC.
expect()
{
    name=$1 exit=$2
    shift 2
    PATH=$root/programs CC=$compiler ${ci:+env CI=1} sh .ci/needs $arguments > "$root/said" 2>&1
    code=$?
    for pattern; do
        grep -q -e "$pattern" "$root/said" || { echo "no $pattern" >> "$root/said"; code=-1; }
    done
    if [ $code -eq "$exit" ]; then
        echo "PASS needs: $name"
    else
        echo "FAIL needs: $name"
        sed "s/^/# exit $code: /" "$root/said"
    fi
}

ci='' compiler=$blind
arguments='-n run'
play_apt '' ''
expect 'the packages of missing headers are one line' 1 \
    '^compiling needs packages that are not here: libc6-dev libinih-dev .*; run: sh .ci/needs run$'

make --no-print-directory B="$root/build" CC="$blind" CUDA=0 -j2 > "$root/said" 2>&1
code=$?
if [ $code -ne 0 ] && grep -q 'libinih-dev .*run: sh .ci/needs run$' "$root/said" && ! grep -qE 'error:|^cc ' "$root/said"; then
    echo 'PASS needs: make without headers compiles nothing'
else
    echo 'FAIL needs: make without headers compiles nothing'
    head -n 5 "$root/said" | sed "s/^/# exit $code: /"
fi

arguments=run
play id 'echo 1000'
play_apt ' libc6-dev libinih-dev libturbojpeg-dev ' ''
expect 'of several names apt knows one' 1 'needs libc6-dev .* libturbojpeg-dev '
expect 'a user without sudo gets the commands' 1 '^    apt-get update$' '^    apt-get install .* libinih-dev ' 'as root:$'
expect 'a user without sudo gets the way without root' 1 '^    sh .ci/deps .deps$' '^    make DEPS=.deps run$'
expect 'the size is what apt says' 1 '^apt installs 7 packages: 1,500 kB to download, 88.6 MB on the disk, about 20 seconds$'
play sudo 'exit 1'
expect 'a user whose sudo asks gets the commands' 1 '^    sudo apt-get update$' '^    sudo apt-get install .* libinih-dev '

play id 'echo 0'
play sudo ''
play_apt ' libc6-dev ' "echo 'E: the disk is full' >&2; exit 100"
expect 'the last lines of apt-get are shown' 1 '^    E: the disk is full$' '^    apt-get install '
play apt-get ''
expect 'a system without apt gets names' 1 'no apt-get. Install what Debian has in these packages: libc6-dev '

# needs_arm SAID: as expect left it
play uname 'echo x86_64'
compiler=$blind arguments=test
play_apt ' libc6-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user ' 'exit 100'
ci=1
expect 'CI takes a compiler for ARM as well' 1 '^onestep needs .* gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user'
ci=''
expect 'make test does without' 1 '^onestep needs .* libcmocka-dev '

compiler=${CC:-cc} arguments='run'
if (sh .ci/needs -n run) 2> /dev/null; then
    play curl ''
    play_apt ' curl ' 'exit 100'
    expect 'what make can do without stops nothing' 0 'make run goes on, but:' 'datasets cannot be downloaded$'
    ci=1
    expect 'in CI it stops' 1 'apt-get install '
    ci='' ONEDNN=0
    export ONEDNN
    play wget 'true'
    expect 'wget serves as well as curl' 0
else
    echo 'SKIP needs: what make can do without (the headers are not here)'
fi
