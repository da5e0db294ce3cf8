#!/bin/sh
# data/fetch-mnist and data/fetch-cifar10, from copies of them in a folder of its own, with mirrors that are folders. Prints PASS, FAIL or SKIP
# lines for tests/count. It wants curl, which reads file:// addresses. Run in the repository's root.
set -u

given=${ONESTEP_DATA-}
unset ONESTEP_DATA http_proxy https_proxy all_proxy
root=$(mktemp -d) || exit 1
trap 'rm -rf "$root"' EXIT
dest=$root/dest
mkdir -p "$root/repository/data"
cp data/fetch-mnist data/fetch-cifar10 data/fetch.sh "$root/repository/data"

# expect NAME EXIT FILES LINE...: what a run of fetch-$set must exit with and leave in DEST; each LINE is a part of one line that
# it says, in this order, and it says no others. PATH is $path where that is set.
expect()
{
    name=$1 exit=$2 files=$3
    shift 3
    said=$(PATH=${path:-$PATH} ONESTEP_MNIST_MIRRORS=$mirrors ONESTEP_CIFAR10_MIRRORS=$mirrors \
        /bin/sh "$root/repository/data/fetch-$set" "$dest" 2> "$root/progress")
    code=$?
    left=$(find "$dest" -type f 2> /dev/null | wc -l)
    if [ $code -eq "$exit" ] && [ "$left" -eq "$files" ] && lines_are "$@" && ! grep -v ': downloading ' "$root/progress"; then
        echo "PASS fetch-$set: $name"
    else
        echo "FAIL fetch-$set: $name"
        printf '%s\n' "exit $code, $left files:" "$said" | sed 's/^/# /'
    fi
}

lines_are()
{
    printf '%s\n' "$said" | {
        for part; do
            read -r line || exit 1
            case $line in *"$part"*) ;; *) exit 1 ;; esac
        done
        ! read -r line
    }
}

# A folder of all programs that the scripts call, and PROGRAM..., for a PATH with nothing else.
only()
{
    rm -rf "$root/programs"
    mkdir "$root/programs"
    for program in sh basename dirname cat cp mv rm rmdir mkdir wc md5sum gzip sed paste tar timeout "$@"; do
        ln -s "$(command -v "$program")" "$root/programs"
    done
    path=$root/programs
}

# What each fault of a download is called. $missing: what is said at the end.
test_faults() # FILE
{
    mirrors=http://onestep.invalid/folder
    only
    expect 'a missing downloader is named' 1 0 "$mirrors/$1: no downloader: neither curl nor wget is installed" could 'by hand: put '
    if command -v wget > /dev/null; then
        only wget
        expect 'no route, with wget' 1 0 "$mirrors/$1: no route: " could 'by hand: put '
    else
        echo "SKIP fetch-$set: no route, with wget (wget is not installed)"
    fi
    path=
    expect 'an unknown host is named' 1 0 "$mirrors/$1: no route: the name of the host is not known" could 'by hand: put '
    mirrors=http://127.0.0.1:1
    expect 'a host that does not answer is named' 1 0 "$mirrors/$1: no route: the host does not accept" could 'by hand: put '
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
    first=train-images-idx3-ubyte.gz
    test_faults $first
    mirrors="file://$root/none"
    expect 'a file that is not there is named' 1 0 "$root/none/$first: no such file" could "t10k-labels-idx1-ubyte.gz into $dest/mnist"
    torn='wrong checksum: the md5 of its content is none, since it is no whole gzip file, not 6bbc9ace898e44ae57da46a324031adb'
    swapped='wrong checksum: the md5 of its content is a25bea736e30d166cdddb491f175f624, not 6bbc9ace898e44ae57da46a324031adb'
    mirrors="file://$root/torn file://$root/swapped"
    expect 'torn and wrong files are named and not kept' 1 0 "torn/$first: $torn" "swapped/$first: $swapped" could 'by hand: put '
    mirrors="file://$root/torn file://$real"
    expect 'the next mirror is tried' 0 4 torn torn torn torn "MNIST is now in $dest"
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

    test_faults $archive
    mirrors="file://$root/none"
    expect 'a file that is not there is named' 1 0 "$root/none/$archive: no such file" could "by hand: put $archive into $dest"
    wrong=$(md5sum < "$root/cut/$archive")
    cut="$root/cut/$archive: wrong checksum: its md5 is ${wrong%% *}, not ${sum%% *}"
    mirrors="file://$root/cut"
    expect 'a cut archive is named and not kept' 1 0 "$cut" could 'by hand: put '
    mirrors="file://$root/none file://$root/cut file://$root/whole"
    expect 'the next mirror is tried' 0 7 'no such file' "$cut" "CIFAR-10 is now in $dest/$inside"
    mirrors=
    expect 'what is there is found' 0 7 "CIFAR-10 is in $dest/$inside"
    rm "$dest/$inside/data_batch_3.bin"
    head -c 3072 /dev/zero > "$dest/$inside/test_batch.bin"
    expect 'what is missing or cut is not taken for whole' 1 6 'could not be downloaded' 'by hand: put '
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
