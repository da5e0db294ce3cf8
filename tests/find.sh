#!/bin/sh
# cuda/find on made-up folders: what it finds, where it stops and with which words, when an answer is kept.
cd "$(dirname "$0")/.." || exit 1
find=$PWD/cuda/find
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
sh=$(command -v sh)

# only what cuda/find calls, so that the machine's own nvcc, python3 and nvidia-smi are not seen
mkdir -p "$folder/bin"
for tool in sh sed head tr grep sort uname dirname readlink mkdir mv cat; do ln -s "$(command -v $tool)" "$folder/bin/$tool"; done
printf '#!/bin/sh\n' > "$folder/bin/g++"
chmod +x "$folder/bin/g++"

toolkit() # FOLDER VERSION
{
    mkdir -p "$1/bin" "$1/include" "$1/lib64"
    printf '#!/bin/sh\n' > "$1/bin/nvcc"
    chmod +x "$1/bin/nvcc"
    echo "#define CUDART_VERSION  $2" > "$1/include/cuda_runtime_api.h"
    touch "$1/include/cublasLt.h" "$1/lib64/libcudart.so" "$1/lib64/libcublasLt.so"
}

cudnn() # FOLDER MAJOR LIBRARY
{
    mkdir -p "$1/include" "$1/lib"
    printf '#define CUDNN_MAJOR %s\n#define CUDNN_MINOR 19\n' "$2" > "$1/include/cudnn_version.h"
    touch "$1/lib/$3"
}

nccl() # FOLDER LIBRARY
{
    mkdir -p "$1/include" "$1/lib"
    printf '#define NCCL_MAJOR 2\n#define NCCL_MINOR 28\n' > "$1/include/nccl.h"
    touch "$1/lib/$2"
}

# found VARIABLE=VALUE...: the answer with these variables and no others
found() { cd "$folder" && env -i PATH="$folder/bin" CUDA_PLACES= "$@" "$sh" "$find" "$folder/answer" > /dev/null 2>&1 && cat "$folder/answer"; }

# check NAME PATTERN...: the last answer has a line for each pattern
check()
{
    name=$1
    shift
    for pattern; do
        grep -Eq -e "$pattern" "$folder/answer" || { printf 'FAIL find: %s\n    no line like %s in:\n' "$name" "$pattern"; sed 's/^/    /' "$folder/answer"; return; }
    done
    echo "PASS find: $name"
}

found > /dev/null
check "nothing there" '^HAS_CUDA := 0$' '^HAS_NCCL := 0$' '^CUDA_WHY := there is no nvcc .*CUDA_HOME='

toolkit "$folder/cuda" 13000
found CUDA_HOME="$folder/cuda" > /dev/null
check "a toolkit without cuDNN" '^HAS_CUDA := 0$' '^CUDA_WHY := there is no cuDNN .*CUDNN_ROOT='
found CUDA_HOME="$folder/nowhere" > /dev/null
check "CUDA_HOME that has no nvcc" '^HAS_CUDA := 0$' "^CUDA_WHY := CUDA_HOME=$folder/nowhere has no bin/nvcc"

cudnn "$folder/cudnn" 9 libcudnn.so
found CUDA_HOME="$folder/cuda" CUDNN_ROOT="$folder/cudnn" > /dev/null
check "CUDNN_ROOT, no NCCL" '^HAS_CUDA := 1$' '^HAS_NCCL := 0$' '^NCCL_WHY := there is no NCCL .*NCCL_ROOT=' "^NVCC := $folder/cuda/bin/nvcc$" \
    '^CUDA_SAYS := CUDA 13.0 \(sm_80, sm_90\), cuDNN 9.19$' "^CUDA_LIBS := .*$folder/cudnn/lib/libcudnn.so -Wl,-rpath,$folder/cudnn/lib" \
    "^CUDA_INCLUDES := -isystem $folder/cudnn/include -isystem $folder/cuda/include$" 'code=sm_80 .*code=sm_90 .*code=compute_90'
found CUDA_HOME="$folder/cuda" CUDNN_ROOT="$folder/nowhere" > /dev/null
check "CUDNN_ROOT that has none" '^HAS_CUDA := 0$' "^CUDA_WHY := CUDNN_ROOT=$folder/nowhere has no include/cudnn_version.h"
nccl "$folder/nccl" libnccl.so
found CUDA_HOME="$folder/cuda" CUDNN_ROOT="$folder/cudnn" NCCL_ROOT="$folder/nccl" > /dev/null
check "NCCL_ROOT" '^HAS_NCCL := 1$' "^NCCL_LIBS := $folder/nccl/lib/libnccl.so -Wl,-rpath,$folder/nccl/lib$" '^NCCL_SAYS := NCCL 2.28$'
found CUDA_HOME="$folder/cuda" CUDNN_ROOT="$folder/cudnn" NCCL_ROOT="$folder/cudnn" > /dev/null
check "NCCL_ROOT that has none" '^HAS_CUDA := 1$' '^HAS_NCCL := 0$' "^NCCL_WHY := NCCL_ROOT=$folder/cudnn has no include/nccl.h"

cudnn "$folder/old" 8 libcudnn.so
found CUDA_HOME="$folder/cuda" CUDNN_ROOT="$folder/old" > /dev/null
check "a cuDNN that is too old" '^HAS_CUDA := 0$' 'is cuDNN 8.19, want 9.8 or later'
toolkit "$folder/eleven" 11080
found CUDA_HOME="$folder/eleven" CUDNN_ROOT="$folder/cudnn" > /dev/null
check "a toolkit that is too old" '^HAS_CUDA := 0$' 'is CUDA 11, want 12 or later'

# a virtual environment: headers beside libraries that have numbers alone
packages=$folder/venv/lib/python3.12/site-packages/nvidia
mkdir -p "$folder/venv/bin"
toolkit "$packages/cu13" 13000
mv "$packages/cu13/lib64" "$packages/cu13/lib"
for name in cudart cublasLt; do mv "$packages/cu13/lib/lib$name.so" "$packages/cu13/lib/lib$name.so.13"; done
cudnn "$packages/cudnn" 9 libcudnn.so.9
nccl "$packages/nccl" libnccl.so.2
found VIRTUAL_ENV="$folder/venv" > /dev/null
check "Python's site-packages alone" '^HAS_CUDA := 1$' '^HAS_NCCL := 1$' "^NVCC := $packages/cu13/bin/nvcc$" "^CUDA_LIBS := .*$packages/cudnn/lib/libcudnn.so.9 .*-rpath,$packages/cudnn/lib" \
    "^CUDA_LIBS := .*$packages/cu13/lib/libcublasLt.so.13 .*-rpath,$packages/cu13/lib" "^NCCL_LIBS := $packages/nccl/lib/libnccl.so.2 "
found CUDA_HOME="$folder/cuda" VIRTUAL_ENV="$folder/venv" > /dev/null
check "a toolkit, and the rest in site-packages" "^NVCC := $folder/cuda/bin/nvcc$" "^CUDA_LIBS := .*$packages/cudnn/lib/libcudnn.so.9 " "^CUDA_LIBS := .*$folder/cuda/lib64/libcublasLt.so"
touch "$packages/../../../../bin/python3"
chmod +x "$folder/venv/bin/python3"
found PATH="$folder/venv/bin:$folder/bin" > /dev/null
check "the site-packages of the python3 in PATH" '^HAS_CUDA := 1$' "^NVCC := $packages/cu13/bin/nvcc$"

printf '#!/bin/sh\nprintf "9.0\\n8.0\\n9.0\\n"\n' > "$folder/bin/nvidia-smi"
chmod +x "$folder/bin/nvidia-smi"
set -- CUDA_HOME="$folder/cuda" CUDNN_ROOT="$folder/cudnn"
touch "$folder/cuda/include/nvrtc.h" "$folder/cuda/lib64/libnvrtc.so"
rm "$folder/answer"
found "$@" > /dev/null
check "the GPUs that are there, nvrtc beside another cuDNN" '^CUDA_CODE := -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=sm_90$' '\(sm_80, sm_90\)' '^CUDA_LIBS := .*libnvrtc.so'
found "$@" CUDA_ARCH=86 > /dev/null
check "CUDA_ARCH" '^CUDA_CODE := -gencode arch=compute_86,code=sm_86$'

found "$@" > /dev/null
echo '# kept' >> "$folder/answer"
found "$@" > /dev/null
check "an answer is kept" '^# kept$'
found "$@" CUDA_ARCH=80 > /dev/null
if grep -q '^# kept$' "$folder/answer"; then echo "FAIL find: another variable asks anew"; else echo "PASS find: another variable asks anew"; fi
rm "$folder/cuda/bin/nvcc"
found "$@" CUDA_ARCH=80 > /dev/null
check "an nvcc that is gone asks anew" '^HAS_CUDA := 0$'
