#!/bin/sh
# For ARM (aarch64), on another machine: everything is compiled and linked, and what depends on the processor is tested
# under an emulator. Where the compiler or the libraries are missing it says so. .ci/needs installs them only in CI.
cd "$(dirname "$0")/.." || exit 1
compiler=aarch64-linux-gnu-gcc libraries=build/aarch64-libraries folder=build/aarch64 system=/usr/aarch64-linux-gnu
# The kernels, the bits that are the same on every machine, and files of another processor's making.
subjects='elementary flat isa bits pool plan gradients winograd weights ring order'

skip() { echo "SKIP aarch64 ($1)"; exit; }

[ "$(uname -m)" != aarch64 ] || skip 'this machine is one: the other stages test it'
command -v $compiler > /dev/null || skip "there is no $compiler; CI has one"
mkdir -p build
if [ ! -e $libraries/usr/include/ini.h ] && ! ARCH=arm64 sh .ci/deps $libraries > build/aarch64.log 2>&1; then
    [ -z "${CI-}" ] || echo 'FAIL aarch64: its libraries'
    tail -n 5 build/aarch64.log | sed 's/^/    /'
    [ -n "${CI-}" ] || skip 'its libraries cannot be downloaded'
    exit 1
fi
if ! make --no-print-directory -j"$(nproc)" CC=$compiler DEPS=$libraries CUDA=0 ONEDNN=0 B=$folder CFLAGS='-O2 -g' \
    $folder/onestep $folder/tests/run > build/aarch64.log 2>&1; then
    echo 'FAIL aarch64: compiled and linked'
    grep -E 'error|warning|Error' build/aarch64.log | head -n 20 | sed 's/^/    /'
    exit 1
fi
echo 'PASS aarch64: compiled and linked'
emulator=$(command -v qemu-aarch64 || command -v qemu-aarch64-static) || skip 'tests: there is no qemu-aarch64'
# shellcheck disable=SC2086 # the subjects are words
exec env ONESTEP_TEST_VARIANT=aarch64 "$emulator" -L $system $folder/tests/run $subjects
