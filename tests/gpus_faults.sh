#!/bin/sh
# Training on emulated GPUs when something fails: it ends by itself with one line and the right exit code, what was written can be gone on with, and what ends well ends on the
# bytes of a run that nothing happened to. ONESTEP names a program of VARIANT=emulated. A test is a function that prints what is wrong; silence is a pass.
set -u
onestep=$(realpath "$ONESTEP") || exit 1
inputs=$(realpath "$(dirname "$0")/inputs/image") beside=$(realpath "$(dirname "$0")/beside.sh") only=${1-}
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
unset ONESTEP_FAULT
export XDG_CACHE_HOME="$folder/cache"
. "$beside"

# check NAME FUNCTION: those whose name holds the script's argument, if there is one
check()
{
    case $1 in *"$only"*) ;; *) return ;; esac
    check_began=$(date +%s)
    details=$("$2" 2>&1)
    if [ -z "$details" ]; then echo "PASS gpus: $1"; else echo "FAIL gpus: $1"; echo "$details" | sed 's/^/    /'; fi
    echo "# took: $(($(date +%s) - check_began)) gpus: $1"
}

# run [NAME=VALUE...] WORDS...: the exit code in $code, what was printed in out and err; 124 is a hang
run() { timeout -k 5 600 env "$@" > out 2> all; code=$?; grep -v '^emulated \|^onestep: the machine is busy: ' all > err; }

# want CODE PATTERN: one line of stderr, or with '' none
want()
{
    [ "$code" = "$1" ] || echo "$what: want exit code $1, got $code; stderr: $(cat err)"
    if [ -z "$2" ]; then [ ! -s err ]; else [ "$(wc -l < err)" = 1 ] && grep -Eq -e "$2" err; fi || echo "$what: want one line on stderr like: $2; got: $(cat err)"
}

tensors() { tail -c +$(($(od -An -t u8 -N 8 "$1") + 9)) "$1"; }
same_weights() { tensors "$1/weights.safetensors" > one; tensors "$2/weights.safetensors" > two; cmp -s one two || echo "$what: $1 and $2 end on different weights"; }
newest() { ls "$1"/checkpoint-*.safetensors 2> /dev/null | tail -n 1; }

cat > mlp.ini << 'END'
[data]
dataset = synthetic
limit = 64
test_limit = 16
batch = 4
[net]
name = mlp
[train]
algorithm = odsgd
epochs = 0
iterations = 6
precision = fp32
[odsgd]
warmup = 2
[workers]
devices = cuda:0,1
stuck_after_s = 3
[checkpoint]
every = 2 iterations
END
sed 's/^algorithm.*/algorithm = ssgd/; s/^devices.*/&\nreduce = nccl/' mlp.ini > nccl.ini

# faults CONFIG FUNCTION:CALL...: each ends the run and is told by GPU; the rest of the run, gone on with, is as if there had been none. A fault that the run can do without is none.
faults()
{
    config=$1; shift
    run "$onestep" train "$config" --output whole --set output.overwrite=true
    for fault; do
        what=$fault
        rm -rf failed
        run ONESTEP_EMULATED_FAIL="$fault" "$onestep" train "$config" --output failed
        if [ "$code" = 0 ]; then
            same_weights whole failed
            continue
        fi
        want 7 'cuda(:[0-9])?: .*[a-z]'
        [ -n "$(newest failed)" ] || continue
        grep -q "; the last good checkpoint is $(newest failed)\$" err || echo "$what: the last checkpoint is not named: $(cat err)"
        run "$onestep" train "$config" --output failed --resume; want 0 ''
        same_weights whole failed
    done
}

runtime_faults()
{
    faults mlp.ini cudaMemcpyAsync:20 cudaMemcpyAsync:50 cudaMemcpyAsync:80 cudaMemcpyAsync:110 cudaLaunchKernel:60 cudaLaunchKernel:120 \
        cudaEventRecordWithFlags:100 cudaEventRecordWithFlags:250 cudaStreamWaitEvent:20 cudaStreamWaitEvent:70 cudaEventSynchronize:200 cudaEventQuery:30 cudaStreamQuery:100 \
        cudaStreamBeginCapture:3 cudaStreamEndCapture:5 cudaGraphInstantiate:2 cudaGraphLaunch:1 cudaGraphLaunch:20 cudaSetDevice:700 cudaDeviceGetAttribute:22
}

server_elsewhere()
{
    sed 's/^devices.*/&\nserver = host/' mlp.ini > host.ini
    faults host.ini cudaMemcpyAsync:50 cudaMemcpyAsync:80 cudaLaunchKernel:70 cudaEventRecordWithFlags:150 cudaStreamWaitEvent:60
}

library_faults()
{
    sed 's/^name = mlp/name = lenet/; s/^iterations.*/iterations = 4/' mlp.ini > lenet.ini
    faults lenet.ini cublasLtMatmul:1 cublasLtMatmul:250 cudnnBackendExecute:1 cudnnBackendExecute:140 cublasLtCreate:2 cudnnCreate:1
}

# What cannot be had is told before anything is written.
memory()
{
    for mib in 1 2 4; do
        what="$mib MiB"
        run ONESTEP_EMULATED_MEMORY=$mib "$onestep" train mlp.ini --output none; want 7 '^onestep: (layer [a-z0-9]*: )?cuda:0: out of memory for [a-z].*: want [0-9.]+ MiB, [0-9.]+ MiB free of '
    done
    for n in 1 5 12; do
        what="pinned memory, call $n"
        run ONESTEP_EMULATED_FAIL=cudaHostAlloc:$n:2 "$onestep" train mlp.ini --output none; want 5 '^onestep: out of memory: .* wants [0-9]+ bytes that stay where they are for the GPU$'
    done
    [ ! -e none ] || echo "there is a folder: $(ls none)"
}

# Bytes do not depend on how GPUs reach each other.
peers()
{
    for algorithm in odsgd asgd; do
        words="--set train.algorithm=$algorithm --set async.order=round-robin --set output.overwrite=true"
        what=$algorithm
        run "$onestep" train mlp.ini --output reached $words; want 0 ''
        run ONESTEP_EMULATED_PEERS=none "$onestep" train mlp.ini --output unreached $words; want 0 ''
        same_weights reached unreached
        run ONESTEP_EMULATED_PEERS=broken "$onestep" train mlp.ini --output broken $words
        [ "$code" = 0 ] && [ "$(sort err | uniq -d)" = '' ] && grep -q "^onestep: cuda:[01] is offered cuda:[01]'s memory, but a copy brings other bytes" err || echo "$what: $code, $(cat err)"
        same_weights reached broken
    done
}

# A sum that one of the GPUs stays away from ends by abort, wherever the others wait for it; behind the last step, too.
nccl()
{
    what='two workers on a GPU'
    run "$onestep" train nccl.ini --output none --set workers.devices=cuda:0,0; want 2 'nccl wants a GPU for each worker, and workers 0 and 1 share cuda:0$'
    [ ! -e none ] || echo "there is a folder: $(ls none)"
    faults nccl.ini 'nccl part:1' 'nccl part:10' 'nccl part:24' ncclAllReduce:11 ncclGroupEnd:7 ncclCommGetAsyncError:9 ncclCommInitAll:1 cudaLaunchKernel:120
}

newer_than() { newer=$(newest "$1") && [ -n "$newer" ] && [ "$(iteration "$newer")" -gt "$2" ]; }
iteration() { basename "$1" .safetensors | sed 's/checkpoint-0*\([0-9]\)/\1/'; }

interrupted()
{
    what=SIGINT
    begin "$onestep" train mlp.ini --output stopped --set train.iterations=100000
    await newer_than stopped 2
    kill -INT $process
    ended
    want 130 '^onestep: stopped by SIGINT after iteration [0-9]+; the weights are in stopped/weights.safetensors; the last good checkpoint is stopped/checkpoint-[0-9]+.safetensors$'
    [ -s stopped/weights.safetensors ] || echo 'no weights'
    what='a second SIGINT'
    hung 0.5 || hung 5 || hung 50 ||
        { echo "$what: the first one did not wait for the step: $code, $(cat err)"; return; }
    kill -INT $process
    ended
    want 130 ''
}

# hung SECONDS: starts a run that cannot end one of its steps, and sends it the first signal so long after training
# began. Fails where the run ended by that signal: it had not come to that step.
hung()
{
    begin env ONESTEP_EMULATED_FAIL='nccl part:10' "$onestep" train nccl.ini --output twice \
        --set output.overwrite=true --set workers.stuck_after_s=600
    await grep -q '^into ' out || return
    sleep "$1"
    stop INT
    sleep 0.5 # beyond the 300 ms within which a second signal counts as the first one again
    lives || { ended; return 1; }
}

# Every other kill waits for a new checkpoint first, so that the runs get on however slow the machine is.
killed()
{
    what=SIGKILL resume='' kills=0 before=0 long='--set train.iterations=100000'
    while [ $kills -lt 20 ]; do
        begin "$onestep" train mlp.ini --output killed $long $resume
        await grep -q '^into ' out
        [ $((kills % 2)) = 0 ] || await newer_than killed "$before"
        sleep "0.$((kills * 7919 % 37 + 10))"
        kill -KILL $process
        wait $process 2> /dev/null
        kills=$((kills + 1))
        [ ! -s err ] || { echo "kill $kills: $(cat err)"; return; }
        resume=--resume
        [ -n "$(newest killed)" ] || { rm -rf killed; resume=''; continue; }
        before=$(iteration "$(newest killed)")
    done
    end=$((before + 5))
    run "$onestep" train mlp.ini --output killed --resume --set train.iterations=$end; want 0 ''
    run "$onestep" train mlp.ini --output unkilled --set train.iterations=$end; want 0 ''
    same_weights killed unkilled
}

# A run goes on elsewhere; where its precision is not computed in, a line says what to set.
moved()
{
    what='CPU to GPU and back'
    run "$onestep" train mlp.ini --output moved --set workers.devices=cpu --set workers.count=2; want 0 ''
    run "$onestep" train --resume moved --set workers.devices=cuda:0,0 --set train.iterations=8; want 0 ''
    grep -q '^workers .* on cuda' out || echo "it does not run on GPUs: $(cat out)"
    run "$onestep" train --resume moved --set workers.devices=cpu --set train.iterations=10; want 0 ''
    run ONESTEP_EMULATED_GPUS=0 "$onestep" train --resume moved --set workers.devices=cuda:0,0 --set train.iterations=12; want 2 'want a GPU for "cuda:0,0", and there is none'
    what='to fp16'
    run "$onestep" train --resume moved --set workers.devices=cuda:0,0 --set train.iterations=12 --set train.precision=fp16; want 2 'kept no loss scale: want fp32 or bf16, got fp16$'
    what='from fp16'
    run "$onestep" train mlp.ini --output half --set train.precision=fp16; want 0 ''
    run "$onestep" train --resume half --set workers.devices=cpu --set train.iterations=8; want 2 'no fast backend computes in fp16, .*; or set train.precision=fp32$'
    run "$onestep" train --resume half --set workers.devices=cpu --set train.iterations=8 --set train.precision=fp32; want 0 ''
}

# What a GPU has trained is used without one, in whatever precision.
used_elsewhere()
{
    for precision in fp32 bf16 fp16; do
        what=$precision
        run "$onestep" train mlp.ini --output "as-$precision" --set train.precision=$precision; want 0 ''
        run "$onestep" eval "as-$precision/weights.safetensors"; want 0 ''
        grep -q "^net .* in $precision on cuda," out || echo "$what: $(grep '^net' out)"
        grep '^top-1' out > one
        run ONESTEP_EMULATED_GPUS=0 "$onestep" eval "as-$precision/weights.safetensors"; want 0 ''
        grep '^top-1' out | cmp -s - one || echo "$what: on the GPU $(cat one), without $(grep '^top-1' out)"
        run ONESTEP_EMULATED_GPUS=0 "$onestep" predict "as-$precision/weights.safetensors" "$inputs/gray7"; want 0 ''
    done
    grep -q '^net .* in fp32 (trained in fp16) on ' out || echo "it does not say what it computes in: $(cat out)"
}

devices()
{
    what='a GPU that is not there'
    run "$onestep" train mlp.ini --output none --set workers.devices=cuda:5; want 2 'want GPUs 0 to 1, got cuda:5; onestep info lists them$'
    what='no GPU'
    run ONESTEP_EMULATED_GPUS=0 "$onestep" train mlp.ini --output none --set workers.devices=cuda:0; want 2 'want a GPU for "cuda:0", and there is none: '
    [ ! -e none ] || echo "there is a folder: $(ls none)"
    for gpus in 0 2; do
        what="auto of $gpus"
        run ONESTEP_EMULATED_GPUS=$gpus "$onestep" train mlp.ini --output auto --set workers.devices=auto --set output.overwrite=true; want 0 ''
        [ $gpus = 0 ] && pattern=cpu || pattern='cuda:0,1'
        grep -Eq "^workers .* on ($pattern)" out || echo "$what: $(grep '^workers' out)"
    done
}

check 'faults of the runtime' runtime_faults
check 'faults with the server in the host'"'"'s memory' server_elsewhere
check 'faults of the libraries' library_faults
check 'out of memory' memory
check 'peers' peers
check 'NCCL, and a GPU that stays away' nccl
check 'interrupted' interrupted
check 'killed 20 times' killed
check 'moved between CPU and GPUs' moved
check 'used without a GPU' used_elsewhere
check 'devices that are not there' devices
