# eval and predict from outside; cli.sh reads this file. $inputs: the images that the fuzzer starts from, digits of MNIST's test split among them.

# Weights to use: once for all tests here.
trained()
{
    [ -s used/weights.safetensors ] && return
    run train small.ini --output used; want 0 ''
}
weights=used/weights.safetensors

# value KEY: of the JSON in out
value() { sed -n "s/^\\t\"$1\":\\t\"\\{0,1\\}\\([^\",]*\\)\"\\{0,1\\},\\{0,1\\}\$/\\1/p" out; }

# as_trained FOLDER [WORDS...]: eval's figures are those of the run's last evaluation, to the last digit that metrics.csv shows
as_trained()
{
    run eval "$1/weights.safetensors" --json "${2:---json}" ${3:+"$3"}; want 0 ''
    told=$(awk -F, '$1 == "epoch" { last = $8 " " $9 " " $10 } END { print last }' "$1/metrics.csv")
    found=$(LC_ALL=C awk "BEGIN { printf \"%.9g %.9g %.9g\", $(value loss), $(value top1), $(value top5) }")
    [ "$told" = "$found" ] || echo "$*: training evaluated $told, eval $found"
}

eval_is_trainings()
{
    trained
    as_trained used
    as_trained used --threads 1
    cp out one; run eval $weights --json --threads 5; same one out
    run eval $weights
    want 0 ''
    grep -q '^top-1    [0-9.]* % ([0-9]* of 100)$' out || echo "no top-1: $(cat out)"
    [ "$(awk '$1 ~ /^[0-9]$/ { images += $2; correct += $3 } END { print images, correct }' out)" = "100 $(sed -n 's/^top-1.*(\([0-9]*\) of.*/\1/p' out)" ] || echo "the classes do not add up: $(cat out)"
    [ "$(head -c 4 used/confusion.png | tail -c 3)" = PNG ] || echo "no picture"
    for backend in $("$onestep" info | awk '/^backends/ { on = 1 } /^networks/ { on = 0 } on && substr($0, 12, 1) != " " { print substr($0, 12) }' | cut -d ' ' -f 1); do
        run train tiny.ini --output "used-$backend" --set data.test_limit=100 --set cpu.backend="$backend"; want 0 ''
        as_trained "used-$backend"
    done
}

# The average is what training evaluates, so that is what eval takes by itself.
averaged_weights()
{
    trained
    run train small.ini --output averaged --set train.ema_decay=0.9; want 0 ''
    as_trained averaged
    [ "$(value weights)" = average ] || echo "weights: $(value weights)"
    as_trained averaged --weights average
    best=$(value loss)
    run eval averaged/weights.safetensors --json --weights raw; want 0 ''
    [ "$(value weights)" = raw ] || echo "weights: $(value weights)"
    [ "$(value loss)" = "$best" ] && echo "raw and averaged weights have the same loss"
    run eval averaged/weights.safetensors; grep -q ', averaged weights$' out || echo "it does not say that the weights are averaged"
    run predict averaged/weights.safetensors "$inputs/gray7"; grep -q ', averaged weights$' out || echo "it does not say that the weights are averaged"
    refuse 4 "$weights: want averaged weights, found none" eval $weights --weights average
    refuse 4 "$weights: want averaged weights, found none" predict $weights "$inputs/gray7" --weights average
}

wrong_eval_words()
{
    trained
    refuse 2 'eval: want a checkpoint first, got nothing; onestep eval --help' eval
    refuse 2 'eval: want a checkpoint first, got --json; onestep eval --help' eval --json
    refuse 2 'eval: want --data, --set, --weights, --threads, --output or --json, got "--jason"; onestep eval --help' eval $weights --jason
    refuse 2 'eval: --data: want a folder after it, got nothing' eval $weights --data
    refuse 2 'eval: --output: want a folder after it, got nothing' eval $weights --output
    refuse 2 'eval: --set: want section.key=value after it, got nothing' eval $weights --set
    refuse 2 'eval: --weights: want best, raw or average after it, got nothing' eval $weights --weights
    refuse 2 'eval: --weights: want best, raw or average, got "ema"' eval $weights --weights ema
    refuse 2 'eval: --threads: want 1..256, got "0"' eval $weights --threads 0
    refuse 2 'eval: --threads: want 1..256, got "2x"' eval $weights --threads 2x
    refuse 2 '--set: [data] has no key "test_limt", the nearest is test_limit' eval $weights --set data.test_limt=5
    refuse 2 '[cpu] backend: this build has no "lane", the nearest is lanes' eval $weights --set cpu.backend=lane
}

wrong_eval_inputs()
{
    trained
    refuse 4 'no.safetensors: cannot open: No such file or directory' eval no.safetensors
    refuse 4 '.: cannot read: Is a directory' eval .
    : > empty; refuse 4 'empty: want a safetensors file, found 0 bytes' eval empty
    refuse 4 "small.ini: want a safetensors file, which begins with its header's length, found 7208676826705650779 there and $(($(wc -c < small.ini) - 8)) bytes behind it" eval small.ini
    printf '\002\0\0\0\0\0\0\0{}' > bare
    refuse 4 'bare: want a file that onestep train wrote: its metadata has no "config"' eval bare
    head -c 100000 $weights > cut.safetensors
    run eval cut.safetensors
    sed -i 's/has [0-9]*:/has N:/' err
    want 4 'cut.safetensors: tensor fc1.weight: ends at byte 401408 of the data, but the file has N: it was cut short'
    good_mnist
    refuse 4 "$weights: want images of 1 x 28 x 28 in 10 classes, dataset mnist has 1 x 2 x 3 in 10" eval $weights --set data.dataset=mnist --data mnist
    refuse 4 'nowhere/t10k-images-idx3-ubyte: no such file, and no nowhere/t10k-images-idx3-ubyte.gz' eval $weights --set data.dataset=mnist --data nowhere
    run train small.ini --output moved --set data.dataset=mnist --set data.path=mnist --set data.batch=1; want 0 ''
    mv mnist elsewhere
    refuse 4 'moved/weights.safetensors: its data are not in mnist any more; want --data FOLDER' eval moved/weights.safetensors
    run eval moved/weights.safetensors --data elsewhere; want 0 ''
    mkdir -p datasets; mv elsewhere datasets/mnist
    run eval moved/weights.safetensors; want 0 ''
    grep -q '^data     mnist in datasets/mnist, 3 test images' out || echo "the data are not found by themselves: $(cat out)"
    rm -r datasets
}

eval_writes()
{
    trained
    run eval $weights --output pictures/in/here; want 0 ''
    [ -s pictures/in/here/confusion.png ] || echo "no picture in the folder"
    (cd used && "$onestep" eval weights.safetensors > /dev/null) || echo "not from the folder itself"
    : > file
    refuse 3 'file/confusion.png: cannot write: Not a directory' eval $weights --output file
    refuse 3 'file/in: cannot make the folder: Not a directory' eval $weights --output file/in
    for fault in write:1:28 sync:1:5 rename:1:5; do
        ONESTEP_FAULT=$fault; export ONESTEP_FAULT
        run eval $weights --output pictures
        unset ONESTEP_FAULT
        [ $code = 3 ] && grep -q '^onestep: pictures/confusion.png: cannot write: ' err || echo "$fault: exit code $code, $(cat err)"
        [ -e pictures/confusion.png.part ] && echo "$fault: a .part is left"
    done
}

# every_fault WORDS...: each call of every kind fails in turn; one line each time
every_fault()
{
    for fault in open:24:4 read:5:4 close:5:4 allocate:12:5; do
        call=${fault%%:*} number=${fault#*:} n=1
        while ONESTEP_FAULT=$call:$n:${number%:*} && export ONESTEP_FAULT && run "$@" && [ $code != 0 ]; do
            [ $code = "${fault##*:}" ] || [ "$call $code" = 'close 3' ] || [ "$call $code" = 'open 3' ] || echo "$ONESTEP_FAULT: exit code $code; $(cat err)"
            [ "$(wc -l < err)" = 1 ] || echo "$ONESTEP_FAULT: want one line, got $(cat err)"
            n=$((n + 1))
            [ $n -lt 500 ] || { echo "$call never stops failing"; break; }
        done
        unset ONESTEP_FAULT
        [ $n -gt 1 ] || echo "$call: no call was made"
    done
}
failing_eval()    { trained; every_fault eval $weights; }
failing_predict() { trained; every_fault predict $weights "$inputs/gray7" "$inputs/prog9"; }

predictions()
{
    trained
    run predict $weights "$inputs/gray7" "$inputs/prog9" "$inputs/pal4" "$inputs/bit9"
    want 0 ''
    [ "$(grep -c '  [ 0-9.]* %  [0-9]$' out)" = 4 ] || echo "want four lines, got: $(cat out)"
    first=$(grep gray7 out | sed 's/.*gray7 *//')
    many=; for i in $(seq 40); do many="$many $inputs/gray7"; done
    run predict $weights $many; want 0 ''
    [ "$(grep gray7 out | sed 's/.*gray7 *//' | sort -u)" = "$first" ] || echo "one image among forty is seen otherwise"
    run predict $weights "$inputs/gray7" --top 3; want 0 ''
    [ "$(tail -n 3 out | awk '{ print $(NF - 2) }' | sort -rg)" = "$(tail -n 3 out | awk '{ print $(NF - 2) }')" ] || echo "not the most probable first: $(cat out)"
    [ "$(tail -n 3 out | awk '{ print $NF }' | sort -u | wc -l)" = 3 ] || echo "a class twice: $(cat out)"
    run predict $weights "$inputs/gray7" --top 1000 --json; want 0 ''
    awk '/"probability"/ { gsub(",", ""); sum += $2; n++ } END { if (n != 10 || sum < 0.999999 || sum > 1.000001) print n " probabilities sum to " sum }' out
}

# All that can be read are done; the exit code is the first failure's.
images_that_cannot_be_read()
{
    trained
    head -c 200 "$inputs/gray7" > cut.png
    head -c 500 "$inputs/prog9" > cut.jpg
    echo text > text.png
    refuse 4 'no.png: cannot open: No such file or directory' predict $weights no.png
    refuse 4 '.: cannot read: Is a directory' predict $weights .
    refuse 4 'text.png: want a PNG or JPEG image, found 5 bytes of something else' predict $weights text.png
    refuse 4 'cut.jpg: damaged JPEG image: Premature end of JPEG file' predict $weights cut.jpg
    refuse 4 "$inputs/cmyk5: want a JPEG image in gray or RGB, found CMYK" predict $weights "$inputs/cmyk5"
    run predict $weights no.png "$inputs/gray7" cut.png "$inputs/bit9"
    [ $code = 4 ] && [ "$(wc -l < err)" = 2 ] && [ "$(grep -c ' %  ' out)" = 2 ] || echo "exit code $code; $(cat out err)"
    head -n 1 err | grep -q '^onestep: no.png: ' || echo "not in their order: $(cat err)"
    run predict $weights no.png "$inputs/gray7" --json
    [ $code = 4 ] && grep -q '"error":.*"no.png: cannot open' out && [ "$(grep -c '"image":' out)" = 2 ] || echo "exit code $code; $(cat out err)"
}

wrong_predict_words()
{
    trained
    refuse 2 'predict: want a checkpoint first, got nothing; onestep predict --help' predict
    refuse 2 'predict: want a checkpoint first, got --top; onestep predict --help' predict --top 3
    refuse 2 'predict: want at least one image, got none; onestep predict --help' predict $weights
    refuse 2 'predict: want at least one image, got none; onestep predict --help' predict $weights --json --top 2
    refuse 2 'predict: want images, --top, --weights or --json, got "--tops"; onestep predict --help' predict $weights x --tops 2
    refuse 2 'predict: --top: want a number after it, got nothing' predict $weights x --top
    refuse 2 'predict: --top: want a number from 1, got "0"' predict $weights x --top 0
    refuse 2 'predict: --top: want a number from 1, got "many"' predict $weights x --top many
    refuse 2 'predict: --weights: want best, raw or average, got "mean"' predict $weights x --weights mean
    refuse 4 'x: cannot open: No such file or directory' predict x x
}

full_stdout_of_use()
{
    [ -w /dev/full ] || { echo 'SKIP there is no /dev/full'; return; }
    trained
    for words in "eval $weights" "eval $weights --json" "predict $weights $inputs/gray7" "predict $weights $inputs/gray7 --json" 'eval --help' 'predict --help'; do
        timeout 60 "$onestep" $words > /dev/full 2> err # split
        code=$?
        want 3 'standard output cannot be written'
    done
}

check 'eval gives what training gave' eval_is_trainings
check 'averaged weights' averaged_weights
check 'eval: wrong words' wrong_eval_words
check 'eval: wrong inputs' wrong_eval_inputs
check 'eval: where the picture goes' eval_writes
check 'eval: a failing call, at every one' failing_eval
check 'predict: classes and probabilities' predictions
check 'predict: images that cannot be read' images_that_cannot_be_read
check 'predict: wrong words' wrong_predict_words
check 'predict: a failing call, at every one' failing_predict
check 'eval and predict: standard output is full' full_stdout_of_use
