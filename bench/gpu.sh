#!/bin/sh
# Everything about the GPU in one go, within ten minutes: build, correctness, timings against PyTorch on the same GPU in the same run, compute-sanitizer, a table.
#
#     sh bench/gpu.sh FOLDER       (STAGES='build info tests steps server train overlap sanitizer', SECONDS_ALL=570, PEERS_PYTHON=python3, B, DEPS, ONEDNN, ONESTEP_DATA)
#
# Results go into FOLDER: log (of every stage), stages (what passed), rows and table.md. Each stage has a time limit; one that fails or runs out of time is a row that says so,
# and the next begins. Exit 1 when any did, 0 on a machine without a GPU, after the build.
set -u
[ $# -eq 1 ] || { echo "usage: sh bench/gpu.sh FOLDER" >&2; exit 2; }
mkdir -p "$1" || exit 3
out=$(cd "$1" && pwd)
cd "$(dirname "$0")/.." || exit 1
B=${B:-build/release} python=${PEERS_PYTHON:-python3} wanted=${STAGES:-build info tests steps server train overlap sanitizer}
end=$(($(date +%s) + ${SECONDS_ALL:-570}))
work=$(mktemp -d) failures=0
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM # which runs the line above
onestep=$B/onestep
: > "$out/stages"
: > "$out/log"
command -v make > /dev/null || PATH=$PATH:${DEPS:-.deps}/usr/bin

say() { echo "$*" | tee -a "$out/stages"; }
wants() { case " $wanted " in *" $1 "*) true ;; *) false ;; esac; }

# limited SECONDS NAME COMMAND...: within its time and what is left of all; $work/NAME ends with the reason when it fails
limited()
{
    left=$((end - $(date +%s))) limit=$1 log=$work/$2 title=$2
    shift 2
    [ "$left" -gt 3 ] || { echo "no time was left for it" > "$log"; return 1; }
    [ "$limit" -lt "$left" ] || limit=$left
    timeout -k 5 "$limit" "$@" > "$log" 2>&1
    code=$?
    [ $code -ne 124 ] && [ $code -ne 137 ] || echo "not done within $limit s" >> "$log"
    { echo "== $title: $*"; cat "$log"; } >> "$out/log"
    return $code
}

# stage NAME SECONDS COMMAND...
stage()
{
    name=$1 seconds=$2 begin=$(date +%s)
    shift 2
    if limited "$seconds" "$name" "$@"; then
        say "PASS $name ($(($(date +%s) - begin)) s)"
    else
        failures=$((failures + 1))
        say "FAIL $name ($(($(date +%s) - begin)) s): $(reason "$name")"
        return 1
    fi
}

reason() { tail -n 1 "$work/$1" | cut -c 1-160; }

data_of() { [ -n "${ONESTEP_DATA-}" ] && [ -e "$ONESTEP_DATA/$1" ] && echo "$2" || echo "$3"; }
mnist=$(data_of mnist mnist synthetic)
cifar=$(data_of cifar-10-batches-bin cifar10 synthetic-cifar10)

# theirs SECONDS NETWORK SCRIPT BATCH MODE [--autocast]
theirs()
{
    limit=$1 network=$2 script=$3 batch=$4 mode=$5 precision=$([ $# -gt 5 ] && echo bf16 || echo fp32)
    shift 5
    what="$network $batch PyTorch,_$mode $precision" file=pytorch-$network-$batch-$mode-$precision
    if limited "$limit" "$file" "$python" "bench/peers/$script" "$mode" --device cuda --batch "$batch" --seconds "${peer_seconds:-3}" "$@"; then
        tail -n 1 "$work/$file" | awk -v what="$what" -v batch="$batch" '{ print what, $1, 1e6 * batch / $1, $3, "-" }' >> "$rows"
    else
        failures=$((failures + 1))
        echo "$what failed: $(reason "$file")" >> "$rows"
    fi
}

rows=$out/rows
: > "$rows"

# torch.compile takes a minute for each network and keeps what it made: that happens while ours is built
compile_theirs()
{
    rows=/dev/null out=$work peer_seconds=0.1
    theirs 150 resnet50 imagenet.py 256 compile-reduce-overhead --autocast &
    theirs 150 resnet20 cifar.py 128 compile-reduce-overhead --autocast &
    theirs 150 resnet20 cifar.py 512 compile-reduce-overhead --autocast &
    theirs 150 lenet lenet.py 128 compile-reduce-overhead --autocast &
    wait
}

# ---- build ----
if wants steps && nvidia-smi -L > /dev/null 2>&1; then compile_theirs & fi
if wants build; then
    stage build 240 make -j"$(nproc)" B="$B" CUDA=1 all "$B/tests/run" "$B/bench/gpu_step" "$B/bench/gpu_server" || exit 1
fi
gpu=$("$B/onestep" info 2> /dev/null | sed -n 's/^gpu  *//p' | head -n 1)
case $gpu in
    cuda:*) say "$gpu" ;;
    *) say "no GPU, so nothing but the build can be checked here: ${gpu#none: }"; exit $((failures > 0)) ;;
esac

# ---- correctness ----
wants tests && stage tests 200 "$B/tests/run" $(sh tests/gpu_subjects)
wait
wants info && stage info 60 "$onestep" info --check

# ---- timings ----
# ours NETWORK BATCH PRECISION graphs|calls
ours()
{
    what="$1 $2 onestep,_$4 $3" file=step-$1-$2-$3-$4
    if limited 45 "$file" "$B/bench/gpu_step" "$1" "$2" "$3" "$4" 3; then
        tail -n 1 "$work/$file" | awk -v what="$what" '{ print what, $2, $4, $6, $8 }' >> "$rows"
    else
        failures=$((failures + 1))
        echo "$what failed: $(reason "$file")" >> "$rows"
    fi
}

if wants steps; then
    ours resnet20 128 bf16 graphs
    theirs 60 resnet20 cifar.py 128 eager
    theirs 60 resnet20 cifar.py 128 compile-reduce-overhead --autocast
    ours resnet20 128 bf16 calls
    ours resnet20 128 fp32 graphs
    ours resnet20 512 bf16 graphs
    theirs 60 resnet20 cifar.py 512 eager
    theirs 60 resnet20 cifar.py 512 compile-reduce-overhead --autocast
    ours resnet50 256 bf16 graphs
    theirs 100 resnet50 imagenet.py 256 channels_last --autocast
    theirs 100 resnet50 imagenet.py 256 compile-reduce-overhead --autocast
    ours resnet50 256 bf16 calls
    ours lenet 128 fp32 graphs
    ours lenet 128 bf16 graphs
    theirs 60 lenet lenet.py 128 eager
    theirs 60 lenet lenet.py 128 compile-reduce-overhead --autocast
    say "timed steps: $(grep -vc failed "$rows") rows, $(grep -c failed "$rows") failed"
fi

wants server && stage server 60 "$B/bench/gpu_server"

# train NAME CONFIG ITERATIONS --set ...: a whole program, its rate after a third of the run
train()
{
    run=$1 config=$2 iterations=$3
    shift 3
    stage "train-$run" 60 "$onestep" train "configs/$config" --output "$work/run-$run" --set workers.devices=cuda:0 --set workers.count=1 --set train.epochs=0 --set train.iterations="$iterations" \
        --set train.log_every=$((iterations / 10)) --set train.evaluate_every=0 --set data.test_limit=128 --set odsgd.warmup=$((iterations / 10)) "$@" || return
    rate=$(awk -F, -v from=$((iterations / 3)) '$1 == "step" && $3 >= from { if (!n++) { first = $12; at = $4 } last = $12; end = $4 } END { printf "%.0f", (end - at) / (last - first) }' "$work/run-$run/metrics.csv")
    say "  onestep train, $run: $rate images/s"
}

if wants train; then
    loaders=$(($(nproc) > 4 ? $(nproc) - 3 : 1))
    train resnet20 cifar10-resnet20.ini 3000 --set data.dataset="$cifar" --set data.batch=128 --set data.loader_threads="$loaders" --set train.precision=bf16
    train resnet20-512 cifar10-resnet20.ini 1500 --set data.dataset="$cifar" --set data.batch=512 --set data.loader_threads="$loaders" --set train.precision=bf16
    train lenet mnist-lenet.ini 5000 --set data.dataset="$mnist" --set data.batch=128 --set data.loader_threads="$loaders"
    train resnet50 imagenet-synthetic-resnet50.ini 120 --set data.batch=256 --set data.loader_threads="$loaders" --set train.precision=bf16
fi

if wants overlap; then
    stage overlap 90 env ONESTEP="$onestep" ROUNDS=2 ITERATIONS=600 WORKERS=4 SET="workers.devices=cuda:0,0,0,0 data.dataset=$mnist" sh bench/overlap
fi

if wants sanitizer; then
    sanitizer=$(command -v compute-sanitizer || ls "${CUDA_HOME:-/usr/local/cuda}"/bin/compute-sanitizer "${CUDA_HOME:-/usr/local/cuda}"/compute-sanitizer/compute-sanitizer 2> /dev/null | head -n 1)
    for tool in memcheck racecheck synccheck; do
        [ -n "$sanitizer" ] || { say "SKIP sanitizer (compute-sanitizer is not there)"; break; }
        stage "$tool" 60 "$sanitizer" --tool "$tool" --error-exitcode 9 "$onestep" train configs/cifar10-resnet20.ini --output "$work/run-$tool" --set data.dataset=synthetic-cifar10 \
            --set data.batch=8 --set data.test_limit=16 --set workers.devices=cuda:0,0 --set workers.count=2 --set train.epochs=0 --set train.iterations=6 --set odsgd.warmup=2 \
            --set train.precision=bf16
    done
fi

# ---- the table; the roofline in TFLOP/s of dense bf16 products, measured on GPUs of the kind ----
case $gpu in *H100* | *H200*) roof=790 ;; *) roof=0 ;; esac
{
    echo "| network, batch | | precision | images/s | to PyTorch's best | us/step | CPU us/step | TFLOP/s | of $roof |"
    echo "|---|---|---|---|---|---|---|---|---|"
    awk -v roof="$roof" '
        { line[NR] = $0 }
        $5 != "failed:" && $3 ~ /^PyTorch/ && $5 > best[$1 $2] { best[$1 $2] = $5 }
        END {
            for (i = 1; i <= NR; i++) {
                n = split(line[i], at, " ")
                sub(/_/, " ", at[3])
                head = "| " at[1] ", " at[2] " | " at[3] " | " at[4] " | "
                if (at[5] == "failed:") {
                    print head substr(line[i], index(line[i], "failed:")) " | | | | | |"
                    continue
                }
                key = at[1] at[2]
                share = at[8] != "-" && roof > 0 && at[4] == "bf16" ? sprintf("%.1f %%", 100 * at[8] / roof) : ""
                printf "%s%.0f | %s | %.1f | %.1f | %s | %s |\n", head, at[5], key in best ? sprintf("%.2f", at[5] / best[key]) : "", at[6], at[7], at[8], share
            }
        }' "$rows"
    for stage in server overlap; do
        [ ! -s "$work/$stage" ] || { echo; sed 's/^/    /' "$work/$stage"; }
    done
} > "$out/table.md"
{ echo "$gpu"; "$python" -c 'import torch; print("PyTorch", torch.__version__)' 2> /dev/null; cat "$out/table.md"; }
exit $((failures > 0))
