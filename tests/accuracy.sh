#!/bin/sh
# What training must reach, on real MNIST: LeNet with OD-SGD `predict` against SSGD over three seeds, and the order of the local updates in the harsh regime.
cd "$(dirname "$0")/.." || exit 1
onestep=${ONESTEP:-build/release/onestep}
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

if [ ! -d "${ONESTEP_DATA:-/nowhere}/mnist" ] && [ ! -d datasets/mnist ]; then
    echo "SKIP accuracy: LeNet on MNIST (MNIST is not here)"
    echo "SKIP accuracy: the harsh regime (MNIST is not here)"
    exit 0
fi

# accuracy NAME CONFIG [arguments]: the final test accuracy in hundredths of a point
accuracy()
{
    name=$1 config=$2
    shift 2
    "$onestep" train "configs/$config.ini" "$@" --output "$folder/$name" > "$folder/$name.log" 2>&1 || { cat "$folder/$name.log" >&2; echo -1; return; }
    awk -F, '$1 == "epoch" && $9 != "" { a = $9 } END { printf "%d", a * 10000 + 0.5 }' "$folder/$name/metrics.csv"
}

# check NAME CONDITION DETAILS
check() { if [ "$2" ]; then echo "PASS accuracy: $1 ($3)"; else echo "FAIL accuracy: $1"; echo "    $3"; fi; }

sum_od=0 sum_ss=0 least=10000 pairs=
for seed in 1 2 3; do
    od=$(accuracy "od$seed" mnist-lenet --set workers.count=2 --set train.seed=$seed)
    ss=$(accuracy "ss$seed" mnist-lenet --set workers.count=2 --set train.seed=$seed --set train.algorithm=ssgd)
    sum_od=$((sum_od + od)) sum_ss=$((sum_ss + ss)) pairs="$pairs $od/$ss"
    for a in "$od" "$ss"; do [ "$a" -lt "$least" ] && least=$a; done
done
difference=$((sum_od - sum_ss))
[ $difference -lt 0 ] && difference=$((-difference))
# three seeds' sums: 0.15 points of the mean are 45 of these units
check "LeNet on MNIST reaches 99.0 % with OD-SGD and SSGD, three seeds" "$([ "$least" -ge 9900 ] && echo 1)" "the least is $least/100 %"
check "OD-SGD and SSGD differ by at most 0.15 points" "$([ $difference -le 45 ] && echo 1)" "OD-SGD/SSGD by seed, hundredths:$pairs"

mean() { echo $((($(accuracy "h1$1" mnist-mlp-harsh --set train.seed=1 $2) + $(accuracy "h2$1" mnist-mlp-harsh --set train.seed=2 $2)) / 2)); }
ssgd=$(mean ssgd "--set train.algorithm=ssgd")
for update in none sgd dc adc predict; do
    eval "$update=\$(mean $update \"--set odsgd.local_update=$update\")"
done
seen="ssgd $ssgd, predict $predict, sgd $sgd, dc $dc, adc $adc, none $none hundredths of a point"
check "the harsh regime: predict within half a point of SSGD" "$([ $((ssgd - predict)) -le 50 ] && echo 1)" "$seen"
check "the harsh regime: sgd, dc, adc clearly below" "$([ "$sgd" -lt $((ssgd - 200)) ] && [ "$dc" -lt $((ssgd - 200)) ] && [ "$adc" -lt $((ssgd - 200)) ] && echo 1)" "$seen"
check "the harsh regime: none fails" "$([ "$none" -lt 6000 ] && [ "$none" -gt 0 ] && echo 1)" "$seen"
