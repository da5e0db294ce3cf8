#!/bin/sh
# data/fetch-mnist and data/fetch-cifar10, from copies of them in a folder of its own, with mirrors that are folders. Prints PASS, FAIL or SKIP
# lines for tests/count. Run in the repository's root.
set -u

given=${ONESTEP_DATA-}
unset ONESTEP_DATA
root=$(mktemp -d) || exit 1
trap 'rm -rf "$root"' EXIT
dest=$root/dest
mkdir -p "$root/repository/data"
cp data/fetch-mnist data/fetch-cifar10 data/fetch.sh "$root/repository/data"

# expect NAME EXIT FILES TEXT: what a run of fetch-$set must exit with, leave in DEST and say in one line.
expect()
{
    said=$(ONESTEP_MNIST_MIRRORS=$mirrors ONESTEP_CIFAR10_MIRRORS=$mirrors sh "$root/repository/data/fetch-$set" "$dest" 2>&1)
    code=$?
    left=$(find "$dest" -type f 2> /dev/null | wc -l)
    lines=$(printf '%s\n' "$said" | wc -l)
    case $said in
        *"$4"*) [ $code -eq "$2" ] && [ "$left" -eq "$3" ] && [ "$lines" -eq 1 ] && echo "PASS fetch-$set: $1" && return ;;
    esac
    echo "FAIL fetch-$set: $1"
    echo "# exit $code, $left files: $said"
}

test_mnist()
{
    set=mnist
    real=$given/mnist
    [ -f "$real/train-images-idx3-ubyte.gz" ] || real=$PWD/../shared/data/mnist
    if [ ! -f "$real/train-images-idx3-ubyte.gz" ]; then
        echo 'SKIP fetch-mnist (wants gzipped MNIST in ONESTEP_DATA or ../shared/data)'
        return
    fi
    mkdir -p "$root/torn" "$root/swapped"
    for name in train-images-idx3-ubyte train-labels-idx1-ubyte t10k-images-idx3-ubyte t10k-labels-idx1-ubyte; do
        head -c 4000 "$real/$name.gz" > "$root/torn/$name.gz"
        cp "$real/train-labels-idx1-ubyte.gz" "$root/swapped/$name.gz"
    done
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
    unset ONESTEP_DATA
}

# The copy of the script wants an archive of our own, whose files have a record each.
test_cifar10()
{
    set=cifar10
    archive=cifar-10-binary.tar.gz inside=cifar-10-batches-bin
    rm -rf "$dest"
    mkdir -p "$root/made/$inside" "$root/whole" "$root/cut" "$root/short"
    for name in data_batch_1.bin data_batch_2.bin data_batch_3.bin data_batch_4.bin data_batch_5.bin test_batch.bin; do
        head -c 3073 /dev/zero > "$root/made/$inside/$name"
    done
    echo names > "$root/made/$inside/batches.meta.txt"
    echo page > "$root/made/$inside/readme.html"
    tar -czf "$root/whole/$archive" -C "$root/made" $inside
    head -c 300 "$root/whole/$archive" > "$root/cut/$archive"
    sum=$(md5sum < "$root/whole/$archive")
    sed "s/^FILE_BYTES=.*/FILE_BYTES=3073/; s/^ARCHIVE_MD5=.*/ARCHIVE_MD5=${sum%% *}/" data/fetch-cifar10 > "$root/repository/data/fetch-cifar10"

    mirrors="file://$root/none"
    expect 'no source is one line and exit 1' 1 0 'could not be downloaded'
    mirrors="file://$root/cut"
    expect 'a cut archive is not kept' 1 0 'could not be downloaded'
    mirrors="file://$root/none file://$root/cut file://$root/whole"
    expect 'the next mirror is tried' 0 7 "CIFAR-10 is now in $dest/$inside"
    mirrors=
    expect 'what is there is found' 0 7 "CIFAR-10 is in $dest/$inside"
    rm "$dest/$inside/data_batch_3.bin"
    head -c 3072 /dev/zero > "$dest/$inside/test_batch.bin"
    expect 'what is missing or cut is not taken for whole' 1 6 'could not be downloaded'
    cp "$root/whole/$archive" "$dest"
    expect 'an archive that lies there is unpacked and stays' 0 8 "CIFAR-10 is now in $dest/$inside"
    rm -r "${dest:?}/$inside" "$root/made/$inside/data_batch_5.bin"
    tar -czf "$root/short/$archive" -C "$root/made" $inside
    sum=$(md5sum < "$root/short/$archive")
    sed -i "s/^ARCHIVE_MD5=.*/ARCHIVE_MD5=${sum%% *}/" "$root/repository/data/fetch-cifar10"
    rm "$dest/$archive"
    mirrors="file://$root/short"
    expect 'an archive without all files leaves none' 1 0 'cannot unpack'
    ONESTEP_DATA=$root/made
    export ONESTEP_DATA
    expect 'ONESTEP_DATA comes first' 0 0 "CIFAR-10 is in $root/made/$inside"
    unset ONESTEP_DATA
}

if command -v curl > /dev/null; then
    test_mnist
    test_cifar10
else
    echo 'SKIP fetch (wants curl)'
fi
