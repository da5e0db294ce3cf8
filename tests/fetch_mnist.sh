#!/bin/sh
# data/fetch-mnist, from a copy of it in a folder of its own, with mirrors that are folders. Prints PASS, FAIL or SKIP lines for
# tests/count. Run in the repository's root.
set -u

real=${ONESTEP_DATA-}/mnist
[ -f "$real/train-images-idx3-ubyte.gz" ] || real=$PWD/../shared/data/mnist
if [ ! -f "$real/train-images-idx3-ubyte.gz" ] || ! command -v curl > /dev/null; then
    echo 'SKIP fetch-mnist (wants gzipped MNIST in ONESTEP_DATA or ../shared/data, and curl)'
    exit 0
fi
unset ONESTEP_DATA
root=$(mktemp -d) || exit 1
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/repository/data" "$root/torn" "$root/swapped"
cp data/fetch-mnist "$root/repository/data"
for name in train-images-idx3-ubyte train-labels-idx1-ubyte t10k-images-idx3-ubyte t10k-labels-idx1-ubyte; do
    head -c 4000 "$real/$name.gz" > "$root/torn/$name.gz"
    cp "$real/train-labels-idx1-ubyte.gz" "$root/swapped/$name.gz"
done
dest=$root/dest

# expect NAME EXIT FILES TEXT: what a run must exit with, leave in DEST/mnist and say.
expect()
{
    said=$(ONESTEP_MNIST_MIRRORS=$mirrors sh "$root/repository/data/fetch-mnist" "$dest" 2>&1)
    code=$?
    left=$(find "$dest" -type f 2> /dev/null | wc -l)
    case $said in
        *"$4"*) [ $code -eq "$2" ] && [ "$left" -eq "$3" ] && echo "PASS fetch-mnist: $1" && return ;;
    esac
    echo "FAIL fetch-mnist: $1"
    echo "# exit $code, $left files: $said"
}

mirrors="file://$root/none"
expect 'no source is one line and exit 1' 1 0 'could not be downloaded'
mirrors="file://$root/torn file://$root/swapped"
expect 'torn and wrong files are not kept' 1 0 'could not be downloaded'
mirrors="file://$root/torn file://$root/swapped file://$real"
expect 'the next mirror is tried' 0 4 "MNIST is now in $dest"
mirrors=
expect 'what is there is found' 0 4 "MNIST is in $dest"
head -c 4000 "$real/t10k-images-idx3-ubyte.gz" > "$dest/mnist/t10k-images-idx3-ubyte.gz"
mkdir -p "$root/shared/data" && cp -r "$real" "$root/shared/data/mnist"
expect 'a torn file is replaced from ../shared' 0 4 "MNIST is now in $dest"
head -c 4000 "$real/t10k-images-idx3-ubyte.gz" > "$dest/mnist/t10k-images-idx3-ubyte"
expect 'a wrong plain file is named' 1 5 'remove it'
ONESTEP_DATA=$root/shared/data
export ONESTEP_DATA
expect 'ONESTEP_DATA comes first' 0 5 "MNIST is in $root/shared/data/mnist"
