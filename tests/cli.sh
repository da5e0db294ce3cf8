#!/bin/sh
# The program from outside: everything that can be wrong with what it is given, each with its exit code and its one line on stderr; faults at every system call;
# signals; and runs that must repeat. A test is a function that prints what is wrong, or "SKIP reason"; silence is a pass.
cd "$(dirname "$0")/.." || exit 1
onestep=$(realpath "${ONESTEP:-build/release/onestep}") || exit 1
use=$(pwd)/tests/cli_use.sh resuming=$(pwd)/tests/cli_resume.sh only=${1-} inputs=$(pwd)/tests/inputs/image
beside=$(pwd)/tests/beside.sh
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
unset ONESTEP_DATA ONESTEP_FAULT
export XDG_CACHE_HOME="$folder/cache"

# check NAME FUNCTION: those whose name holds the script's argument, if there is one
check()
{
    case $1 in *"$only"*) ;; *) return ;; esac
    check_began=$(date +%s)
    details=$("$2" 2>&1)
    case $details in
    '') echo "PASS cli: $1" ;;
    'SKIP '*) echo "SKIP cli: $1 (${details#SKIP })" ;;
    *) echo "FAIL cli: $1"; echo "$details" | sed 's/^/    /' ;;
    esac
    echo "# took: $(($(date +%s) - check_began)) cli: $1"
}

# run WORDS...: the program's exit code in $code, its output in the files out and err; a hang is ended after ten minutes
run() { timeout -k 5 600 "$onestep" "$@" > out 2> err; code=$?; }

# want CODE TEXT: what the last run must have ended with; TEXT is all of stderr, without the program's name
want()
{
    [ "$code" = "$1" ] || echo "want exit code $1, got $code; stderr: $(cat err)"
    if [ -n "$2" ]; then printf 'onestep: %s\n' "$2"; fi > wanted
    cmp -s wanted err || { echo "want on stderr: $(cat wanted)"; echo "got:            $(cat err)"; }
}

# refuse CODE TEXT WORDS...
refuse() { refuse_code=$1 refuse_text=$2; shift 2; run "$@"; want "$refuse_code" "$refuse_text"; }

same() { cmp "$1" "$2" 2>&1; }

. "$beside"
. "$resuming"

cat > small.ini << 'END'
[data]
dataset = synthetic
limit = 640
test_limit = 100
batch = 32
[net]
name = mlp
[train]
algorithm = odsgd
epochs = 2
[odsgd]
warmup = 4
[workers]
count = 2
[cpu]
backend = lanes
END
sed -e 's/^limit.*/limit = 8/' -e 's/^test_limit.*/test_limit = 8/' -e 's/^batch.*/batch = 4/' -e 's/^epochs.*/iterations = 2/' -e 's/^warmup.*/warmup = 1/' small.ini > tiny.ini
# One checkpoint, at the end: whether there is time for one after the first of the two iterations is nobody's promise.
printf '[checkpoint]\nevery = 2 iterations\n' >> tiny.ini

# ---- words ----

help()
{
    for words in --help help 'train --help' 'eval --help' 'predict --help' 'config --help' 'config --markdown' 'info --help' --version info; do
        run $words # split
        want 0 ''
        [ -s out ] || echo "$words printed nothing"
    done
    run; want 0 ''; cp out list
    for command in train eval predict config info; do grep -q "^  $command " list || echo "without a command it does not list $command: $(cat list)"; done
    for words in --help -h help 'help help' 'help --help'; do run $words; want 0 ''; same list out; done # split
    for command in train eval predict config info; do
        run $command --help; cp out asked
        head -n 1 asked | grep -q "^usage: onestep $command" || echo "$command --help does not begin with its usage: $(head -n 1 asked)"
        for words in "$command -h" "help $command" "$command small.ini --set train.epochs=7 -h" "$command --no-such-word --help"; do run $words; want 0 ''; same asked out; done # split
    done
    "$onestep" --version > one
    for words in version -V; do run $words; want 0 ''; same one out; done
    "$onestep" --version | grep -q '^onestep [0-9]' || echo "--version: $("$onestep" --version)"
    "$onestep" info | grep -q '^cpu  .* core' || echo "info does not tell the cores"
}

# narrow FILE WHAT: no line is wider than a terminal's 80 columns. gawk counts characters, mawk bytes: what is told has no others.
narrow() { LC_ALL=C awk -v what="$2" 'length($0) > 80 { print what ": a line of " length($0) " columns: " $0 }' "$1"; }

widths()
{
    for words in --help 'train --help' 'eval --help' 'predict --help' 'config --help' 'info --help' info; do
        run $words; want 0 ''; narrow out "$words" # split
    done
    run train small.ini --output columns --set link.bandwidth_gbps=100 --set link.latency_us=1 --set link.duplex=half --set workers.slowdown=1,1.5 --set train.ema_decay=0.9
    want 0 ''; narrow out train
    run train tiny.ini --output columns-half --set cpu.backend=reference --set train.precision=fp16 --set train.loss_scale=16777216; want 0 ''; narrow out 'train in fp16'
    run eval columns/weights.safetensors; want 0 ''; narrow out eval
    ln -s "$inputs/gray7" gray7
    run predict columns/weights.safetensors gray7 --top 10; want 0 ''; narrow out predict
    run train --resume columns --set train.epochs=3; want 0 ''; narrow out 'a resumed run'
}

values_are_named()
{
    run config --help
    grep -q '[0-9] to [0-9]* characters' out && echo "a key does not say what it may be: $(grep -B 2 characters out)"
    tr -s ' \n' ' ' < out > one
    for values in 'auto, lanes, onednn, onednn-nhwc or reference; default: auto' 'mnist, cifar10, synthetic, synthetic-cifar10 or synthetic-imagenet; default: must be set' \
        'auto, cpu, or a list of GPUs; default: auto' 'N epochs, N iterations, N minutes, or off; default: 1 epochs'; do
        grep -qF "$values" one || echo "the help does not name: $values"
    done
}

wrong_words()
{
    refuse 2 'no command "trian", the nearest is train; onestep --help lists them' trian small.ini
    refuse 2 'train: want a config file first, got nothing; onestep train --help' train
    refuse 2 'train: want a config file first, got --set; onestep train --help' train --set train.epochs=1
    refuse 2 'train: --set: want section.key=value after it, got nothing' train small.ini --set
    refuse 2 'train: --output: want a folder after it, got nothing' train small.ini --output
    refuse 2 'config: want a config file first, got "--all"; onestep config --help' config --all
    refuse 2 'config: want --set section.key=value, got "--output"' config small.ini --output x
    refuse 2 'info: want --check or nothing, got "cpu"' info cpu
}

wrong_set()
{
    refuse 2 '--set: want section.key=value, got "epochs"' train small.ini --set epochs
    refuse 2 '--set: want section.key=value, got "epochs=3"' train small.ini --set epochs=3
    refuse 2 '--set: unknown section [trian], the nearest is [train]' train small.ini --set trian.epochs=3
    refuse 2 '--set: [train] has no key "epoch", the nearest is epochs' train small.ini --set train.epoch=3
    refuse 2 '--set: [train] epochs: want 0..1000000, got "3x"' train small.ini --set train.epochs=3x
    refuse 2 '--set: [data] path: want 0 to 159 characters, no blanks at its ends, no " ;", got "a ;b"' train small.ini --set 'data.path=a ;b'
    long=$(printf '%0160d' 0)
    refuse 2 "--output: [output] dir: want 0 to 159 characters, no blanks at its ends, no \" ;\", got \"$long\"" train small.ini --output "$long"
    list=$(printf '1.12345,%.0s' $(seq 40))1
    refuse 2 "--set: [workers] slowdown: want a list that fits a line of 189 characters, got \"$(echo "$list" | cut -c1-40)...\"" train small.ini --set "workers.slowdown=$list"
}

# ---- configs ----

# config TEXT: writes the file that the next words name
config() { printf "$1" > bad.ini; }

unreadable_config()
{
    refuse 4 'missing.ini: cannot open: No such file or directory' train missing.ini
    refuse 4 '.: cannot read: Is a directory' train .
    refuse 4 '/dev/null: cannot read: Invalid argument' config /dev/null
    mkfifo pipe
    refuse 4 'pipe: cannot read: Invalid argument' train pipe
    dd if=/dev/zero of=large.ini bs=1024 count=1025 2> /dev/null
    refuse 4 'large.ini: want at most 1048576 bytes, found 1049600' train large.ini
}

wrong_config()
{
    config '[data]\nbacth = 12\n';            refuse 2 'bad.ini:2: [data] has no key "bacth", the nearest is batch' train bad.ini
    config '[dat]\nbatch = 12\n';             refuse 2 'bad.ini:2: unknown section [dat], the nearest is [data]' train bad.ini
    config '# x\n\n[data]\n\nbatch = 12o\n';  refuse 2 'bad.ini:5: [data] batch: want 1..65536, got "12o"' train bad.ini
    config '[data]\r\nbatch = 0\r\n';         refuse 2 'bad.ini:2: [data] batch: want 1..65536, got "0"' train bad.ini
    config '[data]\nbatch = 65537';           refuse 2 'bad.ini:2: [data] batch: want 1..65536, got "65537"' train bad.ini
    config '[data]\nbatch =\n';               refuse 2 'bad.ini:2: [data] batch: want 1..65536, got ""' train bad.ini
    config '[optimizer]\nlr = 1e30\n';        refuse 2 'bad.ini:2: [optimizer] lr: want 0..1e+06, got "1e30"' train bad.ini
    config '[optimizer]\nlr = nan\n';         refuse 2 'bad.ini:2: [optimizer] lr: want 0..1e+06, got "nan"' train bad.ini
    config '[data]\nshuffle = yes\n';         refuse 2 'bad.ini:2: [data] shuffle: want true or false, got "yes"' train bad.ini
    config '[schedule]\nkind = linear\n';     refuse 2 'bad.ini:2: [schedule] kind: want constant, step, cosine or one-cycle, got "linear"' train bad.ini
    config '[data]\nmean = 1,,2\n';           refuse 2 'bad.ini:2: [data] mean: want numbers in -1e+06..1e+06, with commas between them, got "1,,2"' train bad.ini
    config 'batch = 12\n[data]\n';            refuse 2 'bad.ini:1: batch: want a [section] line before the first key' train bad.ini
    config '[data]\nbatch = 1\n[net]\nname = mlp\n[data]\nbatch = 2\n'
                                              refuse 2 'bad.ini:6: [data] batch: set twice, first at line 2' train bad.ini
    config '[data]\n  batch = 12\n';          refuse 2 'bad.ini:2: want no blanks before a key or a section, got "  batch = 12"' train bad.ini
    config '[data]\nbatch 12\n';              refuse 2 'bad.ini:2: want [section], key = value, or a comment, got "batch 12"' train bad.ini
    config '[data\nbatch = 12\n';             refuse 2 'bad.ini:1: want [section], key = value, or a comment, got "[data"' train bad.ini
    config '[data] batch = 12\n';             refuse 2 'bad.ini:1: want [section], key = value, or a comment, got "[data] batch = 12"' train bad.ini
    config "[data]\npath = $(printf '%0190d' 0)\n"; refuse 2 'bad.ini:2: want a line of at most 189 characters, got 197' train bad.ini
    config '[data]\nbatch = 1\0002\n';        refuse 2 'bad.ini:2: want text without a zero byte, got "batch = 1"' train bad.ini
}

# without PATTERN: small.ini less the lines that match
without() { grep -v "$1" small.ini > bad.ini; }

missing_keys()
{
    without dataset;          refuse 2 'bad.ini: [data] dataset: not set, and it has no default' train bad.ini
    without '\[net\]\|^name'; refuse 2 'bad.ini: [net] name: not set, and it has no default' train bad.ini
    without epochs;           refuse 2 'bad.ini: [train] epochs: want epochs or iterations above 0, got 0 for both' train bad.ini
    : > bad.ini;              refuse 2 'bad.ini: [data] dataset: not set, and it has no default' train bad.ini
}

keys_that_contradict()
{
    sed 's/^epochs.*/&\niterations = 5/' small.ini > bad.ini
    refuse 2 'bad.ini: [train] iterations: want epochs or iterations, got both (2 and 5)' train bad.ini
    refuse 2 'small.ini: [workers] slowdown: want one number, or one for each of 2 workers, got 3' train small.ini --set workers.slowdown=1,2,3
    refuse 2 'small.ini: [data] mean: want one number, or one for each of 1 channels, got 2' train small.ini --set data.mean=0,0
    refuse 2 'small.ini: [schedule] steps: kind = step wants at least one epoch, got none' train small.ini --set schedule.kind=step
    refuse 2 'small.ini: [schedule] steps: want rising epochs, got 1 after 2' train small.ini --set schedule.steps=2,1
    refuse 2 'small.ini: [async] record: want algorithm asgd or dcasgd: a synchronous run has no order to record' train small.ini --set async.record=x
    refuse 2 'small.ini: [async] replay: order = replay wants the file to follow, got none' train small.ini --set async.order=replay
    refuse 2 'small.ini: [train] deterministic: true wants [async] order round-robin or replay, got free' train small.ini --set train.algorithm=asgd --set train.deterministic=true
    refuse 2 'small.ini: [link] latency_us: want bandwidth_gbps above 0 beside it, got 0' train small.ini --set link.latency_us=5
    refuse 2 '[data] batch: want a global batch (2 workers times 321) of at most the dataset'"'"'s 640 samples, got 642' train small.ini --set data.batch=321 --output large
    [ -e large ] && echo "the run's folder was made"
}

unknown_names()
{
    refuse 2 'small.ini: [net] name: unknown network "lent"; the nearest is "lenet"' train small.ini --set net.name=lent
    refuse 2 'small.ini: [net] name: vgg16-bn: want images of 32 x 32, got 28 x 28' train small.ini --set net.name=vgg16-bn
    refuse 2 'small.ini: [data] dataset: want one of mnist, cifar10, synthetic, synthetic-cifar10, synthetic-imagenet, found "minst"; the nearest is mnist' train small.ini --set data.dataset=minst
    refuse 2 '[cpu] backend: this build has no "lane", the nearest is lanes' train small.ini --set cpu.backend=lane
    refuse 2 '--set: [cpu] isa: want auto, base, v3 or v4, got "avx2"' train small.ini --set cpu.isa=avx2
    refuse 2 'small.ini: [workers] devices: want auto, cpu or a list as cuda:0,0,1, got "gpu"' train small.ini --set workers.devices=gpu
    refuse 2 'small.ini: [workers] server: without GPUs want auto, got "host"' train small.ini --set workers.devices=cpu --set workers.server=host
}

# What the command line says replaces what the config says, in another key too.
replaced_keys()
{
    run config small.ini --set train.iterations=5; want 0 ''
    [ "$(grep -c '^epochs = 0$\|^iterations = 5$' out)" = 2 ] || echo "iterations do not replace epochs: $(grep '^epochs\|^iterations' out)"
    run train tiny.ini --output replaced --set train.epochs=3; want 0 ''
    [ "$(awk -F, '$1 == "epoch" { last = $2 } END { print last }' replaced/metrics.csv)" = 3 ] || echo "epochs do not replace iterations: $(cat replaced/metrics.csv)"
}

config_reads_back()
{
    run config small.ini --set schedule.kind=step --set schedule.steps=0.5,1.25 --set optimizer.lr=0.3333333333333333
    want 0 ''
    cp out whole.ini
    run config whole.ini
    want 0 ''
    same whole.ini out
    grep -qx 'lr = 0.3333333333333333' out || echo "lr: $(grep '^lr = ' out)"
    [ "$(grep -c ' = ' out)" = "$("$onestep" config --markdown | grep -c '^| `')" ] || echo "not every key of the help is in the config"
}

# ---- data ----

# idx NAME MAGIC DIMENSIONS BYTES, as printf takes them
idx() { printf "\\000\\000\\010$2$3$4" > "mnist/$1"; }
n3='\000\000\000\003'
sides=$n3'\000\000\000\002'$n3

good_mnist()
{
    rm -rf mnist
    mkdir mnist
    for split in train t10k; do
        idx $split-images-idx3-ubyte '\003' "$sides" 'abcdefghijklmnopqr'
        idx $split-labels-idx1-ubyte '\001' "$n3" '\011\000\004'
    done
}

# mnist CODE TEXT: what training on the folder must say
mnist()
{
    mnist_code=$1 mnist_text=$2
    rm -rf trained
    refuse "$mnist_code" "$mnist_text" train small.ini --set data.dataset=mnist --set data.path=mnist --set data.batch=1 --output trained
    [ "$mnist_code" = 0 ] || [ ! -e trained ] || echo "the run's folder was made"
}

missing_data()
{
    refuse 4 'dataset mnist: not in datasets/mnist, and ONESTEP_DATA is not set' train small.ini --set data.dataset=mnist
    ONESTEP_DATA=/nowhere; export ONESTEP_DATA
    refuse 4 'dataset mnist: not in /nowhere/mnist, nor in datasets/mnist' train small.ini --set data.dataset=mnist
    unset ONESTEP_DATA
    rm -rf mnist
    mnist 4 'mnist/train-images-idx3-ubyte: no such file, and no mnist/train-images-idx3-ubyte.gz'
    good_mnist; rm mnist/t10k-labels-idx1-ubyte
    mnist 4 'mnist/t10k-labels-idx1-ubyte: no such file, and no mnist/t10k-labels-idx1-ubyte.gz'
    good_mnist; rm mnist/train-labels-idx1-ubyte; mkdir mnist/train-labels-idx1-ubyte
    mnist 4 'mnist/train-labels-idx1-ubyte: cannot read: Is a directory'
    good_mnist; rm mnist/train-labels-idx1-ubyte; ln -s train-labels-idx1-ubyte mnist/train-labels-idx1-ubyte
    mnist 4 'mnist/train-labels-idx1-ubyte: cannot open: Too many levels of symbolic links'
}

plain_and_gzipped_data()
{
    good_mnist
    mnist 0 ''
    cp trained/weights.safetensors plain.safetensors
    gzip mnist/*
    mnist 0 ''
    same plain.safetensors trained/weights.safetensors
}

damaged_data()
{
    images=mnist/train-images-idx3-ubyte labels=mnist/train-labels-idx1-ubyte
    good_mnist; idx train-images-idx3-ubyte '\001' "$sides" ''
    mnist 4 "$images: byte 0: want the magic number 0x00000803 (IDX, 3 dimensions of unsigned bytes), found 0x00000801"
    good_mnist; head -c 33 mnist/t10k-images-idx3-ubyte > $images
    mnist 4 "$images: byte 33: the content ends here, its header promises 34 bytes"
    good_mnist; head -c 9 mnist/t10k-images-idx3-ubyte > $images
    mnist 4 "$images: byte 9: the content ends here, want an IDX header of 16 bytes"
    good_mnist; : > $images
    mnist 4 "$images: byte 0: the content ends here, want an IDX header of 16 bytes"
    good_mnist; printf x >> $images
    mnist 4 "$images: byte 34: want the end of the content, found more"
    good_mnist; idx train-labels-idx1-ubyte '\001' "$n3" '\011\012\004'
    mnist 4 "$labels: byte 9: label 10 of sample 1, want 0..9"
    good_mnist; idx train-labels-idx1-ubyte '\001' '\000\000\000\002' '\011\000'
    mnist 4 "$labels: byte 4: want as many labels as there are images in train-images-idx3-ubyte (3), found 2"
    good_mnist; idx train-images-idx3-ubyte '\003' "$n3$n3"'\377\377\377\377' ''
    mnist 4 "$images: byte 12: want 1..4096 columns, found 4294967295"
    good_mnist; idx train-images-idx3-ubyte '\003' '\177\377\377\377\000\000\020\000\000\000\020\000' 'abc'
    mnist 4 "$images: byte 19: the content ends here, its header promises 36028797002186768 bytes"
    good_mnist; idx train-images-idx3-ubyte '\003' '\000\000\000\000'"$n3$n3" ''
    mnist 4 "$images: byte 4: want 1..2147483647 items, found 0"
}

damaged_gzip()
{
    images=mnist/train-images-idx3-ubyte
    good_mnist; gzip $images; size=$(wc -c < $images.gz); head -c $((size - 1)) $images.gz > cut; mv cut $images.gz
    mnist 4 "$images.gz: byte $((size - 1)): the file ends inside its gzipped data, after 34 unpacked bytes"
    good_mnist; idx train-images-idx3-ubyte '\003' '\177\377\377\377\000\000\020\000\000\000\020\000' ''; gzip $images; size=$(wc -c < $images.gz)
    mnist 4 "$images.gz: unpacked byte 4: the header promises 36028797002186768 bytes, more than $size gzipped bytes can hold"
    good_mnist; printf '\037\213garbage, not deflated' > $images.gz; rm $images
    mnist 4 "$images.gz: byte 4: want gzipped data, found unknown compression method"
}

# ---- weights to start from ----

wrong_weights()
{
    good_mnist
    run train small.ini --output first; want 0 ''
    start='train small.ini --output never --set'
    refuse 4 'no.safetensors: cannot open: No such file or directory' $start train.init=no.safetensors
    refuse 4 '.: cannot read: Is a directory' $start train.init=.
    refuse 4 "small.ini: want a safetensors file, which begins with its header's length, found 7208676826705650779 there and $(($(wc -c < small.ini) - 8)) bytes behind it" $start train.init=small.ini
    head -c 300000 first/weights.safetensors > cut.safetensors
    run $start train.init=cut.safetensors
    sed -i 's/has [0-9]*:/has N:/' err
    want 4 'cut.safetensors: tensor fc1.weight: ends at byte 401408 of the data, but the file has N: it was cut short'
    head -c 100 first/weights.safetensors > cut.safetensors
    run $start train.init=cut.safetensors
    sed -i 's/found [0-9]*/found N/' err
    want 4 "cut.safetensors: want a safetensors file, which begins with its header's length, found N there and 92 bytes behind it"
    refuse 4 'first/weights.safetensors: tensor conv1.weight is missing: want all of lenet' $start train.init=first/weights.safetensors --set net.name=lenet
    refuse 4 'first/weights.safetensors: tensor fc1.weight: want shape [128, 6] for mlp, found [128,784]' \
        $start train.init=first/weights.safetensors --set data.dataset=mnist --set data.path=mnist --set data.batch=1
    [ -e never ] && echo "the run's folder was made"
}

first_loss() { awk -F, '$1 == "epoch" { print $6; exit }' "$1/metrics.csv"; }

# goes_on BEFORE AFTER: whether a run began better than the one whose weights it started from
goes_on()
{
    awk "BEGIN { exit !($(first_loss "$2") < $(first_loss "$1")) }" || echo "the first epoch's loss: $(first_loss "$1") from random weights, $(first_loss "$2") from trained ones"
}

training_goes_on_from_weights()
{
    run train small.ini --output began; want 0 ''
    run train small.ini --output went_on --set train.init=began/weights.safetensors; want 0 ''
    goes_on began went_on
}

# ---- the run's folder ----

folder_exists()
{
    mkdir taken
    refuse 2 'taken: exists already; want a new folder, or --set output.overwrite=true' train tiny.ini --output taken
    rmdir taken 2>&1
    : > taken
    refuse 2 'taken: exists already; want a new folder, or --set output.overwrite=true' train tiny.ini --output taken
    refuse 3 'taken: cannot read the folder: Not a directory' train tiny.ini --output taken --set output.overwrite=true
    refuse 3 'taken/in: cannot make the folder: Not a directory' train tiny.ini --output taken/in/it
    run train tiny.ini --output again; want 0 ''
    run train tiny.ini --output again/ --set output.overwrite=true; want 0 ''
    run train tiny.ini --output deep/er/still; want 0 ''
    run train tiny.ini; want 0 ''
    run train tiny.ini; want 0 ''
    for file in again deep/er/still runs/tiny-001 runs/tiny-002; do [ -s $file/weights.safetensors ] || echo "no weights in $file"; done
}

# walk CALL ERRNO CODES LEAST: the n-th call of that kind fails, for every n that a run makes (at least LEAST). The run ends with one of the codes and one line, the
# weights of the run before are there or replaced whole, and nothing half-written lies about.
walk()
{
    n=1
    while rm -rf walked && cp -r before walked && ONESTEP_FAULT=$1:$n:$2 && export ONESTEP_FAULT && run train fault.ini --output walked --set output.overwrite=true && [ $code != 0 ]; do
        case " $3 " in *" $code "*) ;; *) echo "$ONESTEP_FAULT: exit code $code, want one of $3; $(cat err)" ;; esac
        [ "$(wc -l < err)" = 1 ] || echo "$ONESTEP_FAULT: want one line, got $(cat err)"
        cmp -s walked/weights.safetensors before/weights.safetensors || cmp -s walked/weights.safetensors after/weights.safetensors || echo "$ONESTEP_FAULT: neither the old weights nor the new ones"
        [ -z "$(find walked -name '*.part')" ] || echo "$ONESTEP_FAULT: $(find walked -name '*.part') is left"
        n=$((n + 1))
        [ $n -lt 2000 ] || { echo "$1 never stops failing"; break; }
    done
    unset ONESTEP_FAULT
    [ $n -gt "$4" ] || echo "$1: only $((n - 1)) calls were made"
}

# Data and first weights come from files, so that reading them can fail too. One worker: an epoch is longer than the run, so that main has nothing to fail at before its end.
faults()
{
    good_mnist
    gzip mnist/train-*
    run train tiny.ini --output start --set data.dataset=mnist --set data.path=mnist --set data.batch=1; want 0 ''
    sed -e 's/^dataset.*/dataset = mnist/' -e 's/^batch.*/batch = 1/' -e 's/^\[data\]/&\npath = mnist/' -e 's/^\[train\]/&\ninit = start\/weights.safetensors/' -e 's/^count.*/count = 1/' tiny.ini > fault.ini
    run train fault.ini --output before --set optimizer.lr=0.01; want 0 ''
    run train fault.ini --output after; want 0 ''
    cmp -s before/weights.safetensors after/weights.safetensors && echo "two learning rates gave the same weights"
    walk "$@"
    rm -rf start before after
}
full_disk()         { faults write 28 3 7; }
full_disk_stays()   { faults write 28:stay 3 7; }
failing_sync()      { faults sync 5 3 5; }
failing_close()     { faults close 5 '3 4' 11; }
failing_rename()    { faults rename 13 3 2; }
failing_open()      { faults open 24 '3 4' 11; }
failing_read()      { faults read 5 4 8; }
out_of_memory()     { faults allocate 12 5 50; }

fault_texts()
{
    ONESTEP_FAULT=mkdir:1:30; export ONESTEP_FAULT
    refuse 3 'faulty: cannot make the folder: Read-only file system' train tiny.ini --output faulty
    ONESTEP_FAULT=write:1:28; rm -rf faulty
    refuse 3 'faulty/config.ini: cannot write: No space left on device' train tiny.ini --output faulty
    ONESTEP_FAULT=write:3:28; rm -rf faulty
    refuse 3 'faulty/metrics.csv: cannot append: No space left on device; the weights are in faulty/weights.safetensors' train tiny.ini --output faulty
    unset ONESTEP_FAULT
    run train tiny.ini --output fresh --set train.init=faulty/weights.safetensors; want 0 ''
    ONESTEP_FAULT=sync:4:5; export ONESTEP_FAULT; rm -rf faulty
    refuse 3 'faulty/checkpoint-000000002.safetensors: cannot write: Input/output error; the weights are in faulty/weights.safetensors' train tiny.ini --output faulty
    ONESTEP_FAULT=sync:7:5; rm -rf faulty
    refuse 3 'faulty/weights.safetensors: cannot write: Input/output error; the last good checkpoint is faulty/checkpoint-000000002.safetensors' train tiny.ini --output faulty
    ONESTEP_FAULT=wrote:1:28
    refuse 2 'ONESTEP_FAULT: want CALL:N:ERRNO or CALL:N:ERRNO:stay, got "wrote:1:28"' train tiny.ini --output faulty
    unset ONESTEP_FAULT
}

full_stdout()
{
    [ -w /dev/full ] || { echo 'SKIP there is no /dev/full'; return; }
    timeout 60 "$onestep" train tiny.ini --output unheard > /dev/full 2> err
    code=$?
    want 3 'standard output cannot be written'
    [ -s unheard/weights.safetensors ] || echo "no weights were written"
    "$onestep" --help > /dev/full 2> err
    code=$?
    want 3 'standard output cannot be written'
}

# ---- while it runs ----

not_finite()
{
    run train small.ini --output burst --set workers.count=1 --set train.algorithm=ssgd --set optimizer.lr=1e6 --set optimizer.weight_decay=1000
    sed -i 's/iteration [1-9]/iteration N/; s/is \(nan\|infinite\)$/is not finite/' err
    want 6 'iteration N, worker 0: the loss is not finite'
    [ -e burst/weights.safetensors ] && echo "weights were written"
    tail -n 1 burst/metrics.csv | grep -q '^epoch' || echo "metrics.csv does not hold what there was"
}

many_workers()
{
    cores=$("$onestep" info | sed -n 's/^cpu .*, \([0-9]*\) cores\{0,1\} for us.*/\1/p')
    [ "$cores" -lt 64 ] || { echo 'SKIP 64 workers are not too many here'; return; }
    run train small.ini --output crowd --set workers.count=$((cores + 1)) --set data.batch=2
    want 0 "warning: $((cores + 1)) workers share $cores cores"
}

# On a terminal: each epoch's row above the live line, which never fills the last column and tells the time left.
on_a_terminal()
{
    command -v script > /dev/null || { echo 'SKIP there is no script'; return; }
    for columns in 30 60 80; do
        rm -rf watched
        script -qec "stty cols $columns; '$onestep' train small.ini --output watched --set train.epochs=8 --set workers.slowdown=50" /dev/null < /dev/null > seen
        tr '\r' '\n' < seen | sed "s/$(printf '\033')\[K/@/g; /^where the workers/,\$d" > lines # a line that is written over begins with @
        grep -q '^@.* left$' lines || echo "$columns columns: no live line tells the time left: $(cat lines)"
        awk -v columns=$columns '/ left$/ && length($0) - 1 >= columns { print columns " columns, and a live line of " length($0) - 1 ": " $0 }' lines
        [ "$(grep -c '^@* *[1-8] .* %' lines)" = 8 ] || echo "$columns columns: want a row for each of 8 epochs, got: $(grep ' %' lines)"
        awk '/^@? *[1-8] .* %/ { row = 1; next } row && /^@.* left$/ { found = 1 } END { if (!found) print "no live line comes back below a row" }' lines
    done
}

# interrupted SIGNAL CODE
interrupted()
{
    begin "$onestep" train small.ini --output "stopped$1" --set train.epochs=0 --set train.iterations=1000000000000
    await grep -q '^epoch,3,' "stopped$1/metrics.csv"
    kill -"$1" $process
    ended
    last=$(awk -F, '$1 == "epoch" { last = $3 } END { print last }' "stopped$1/metrics.csv")
    want "$2" "stopped by SIG$1 after iteration $last; the weights are in stopped$1/weights.safetensors; the last good checkpoint is $(newest "stopped$1")"
    awk -F, 'NF != 14 { print "metrics.csv: " $0 }' "stopped$1/metrics.csv"
    [ -z "$(find "stopped$1" -name '*.part')" ] || echo "a .part is left"
    run train small.ini --output "continued$1" --set train.init="stopped$1/weights.safetensors"; want 0 ''
    goes_on "stopped$1" "continued$1"
}
interrupt() { interrupted INT 130; }
terminate() { interrupted TERM 143; }

# in_a_step SECONDS: starts a run whose steps take minutes, and sends it the first signal so long after training began.
# Fails where the run ended by that signal: it was not in a step yet.
in_a_step()
{
    rm -rf hasty
    words='--set data.limit=60000 --set data.batch=8192 --set workers.slowdown=1000'
    begin "$onestep" train small.ini --output hasty $words # split
    await grep -q '^into ' out || return
    sleep "$1"
    stop INT
    sleep 0.5 # well beyond the 300 ms within which a second signal counts as the first one again
    lives || { ended; return 1; }
}

# The first signal waits for the end of the step, the second does not.
second_signal()
{
    in_a_step 0.2 || in_a_step 2 || in_a_step 20 || in_a_step 120 ||
        { echo "the first signal did not wait for the step: exit code $code, $(cat err)"; return; }
    kill -TERM $process
    ended
    want 143 ''
}

# ---- what must repeat ----

same_bytes()
{
    for algorithm in odsgd ssgd; do
        run train small.ini --output $algorithm-1 --set train.algorithm=$algorithm --set data.loader_threads=1; want 0 ''
        run train small.ini --output $algorithm-4 --set train.algorithm=$algorithm --set data.loader_threads=4; want 0 ''
        run train small.ini --output $algorithm-s --set train.algorithm=$algorithm --set train.seed=2; want 0 ''
        same $algorithm-1/weights.safetensors $algorithm-4/weights.safetensors
        cmp -s $algorithm-1/weights.safetensors $algorithm-s/weights.safetensors && echo "another seed gave the same weights"
    done
    cmp -s odsgd-1/weights.safetensors ssgd-1/weights.safetensors && echo "odsgd and ssgd gave the same weights"
}

# With a learning rate of 0 the weights stay as they are, so what differs is the images.
augmentation()
{
    augment='--set data.crop_pad=3 --set data.flip=true --set data.cutout=9'
    refuse 2 '[data]: crop_pad: want 0..27 pixels for images of 28x28, found 28' train small.ini --set data.crop_pad=28 --output never
    for threads in 1 4; do
        run train small.ini --output augmented-$threads $augment --set data.loader_threads=$threads; want 0 '' # split
    done
    same augmented-1/weights.safetensors augmented-4/weights.safetensors
    run train small.ini --output still --set optimizer.lr=0; want 0 ''
    run train small.ini --output still-augmented --set optimizer.lr=0 $augment; want 0 '' # split
    cut -d, -f8-10 still/metrics.csv > one; cut -d, -f8-10 still-augmented/metrics.csv > two; same one two
    cut -d, -f6 still/metrics.csv > one; cut -d, -f6 still-augmented/metrics.csv > two; cmp -s one two && echo "the training images were not augmented"
}

resolved_config_repeats()
{
    run train small.ini --output chosen --set train.seed=7 --set cpu.backend=auto; not_busy; want 0 ''
    run train chosen/config.ini --output repeated; want 0 ''
    same chosen/weights.safetensors repeated/weights.safetensors
    grep -v '^dir = ' chosen/config.ini > one; grep -v '^dir = ' repeated/config.ini > two; same one two
    run train small.ini --output chosen_too --set cpu.backend=auto --set train.precision=auto; not_busy; want 0 ''
    grep -Eq '^precision = (fp32|bf16)$' chosen_too/config.ini || echo "the chosen precision is not in config.ini"
    run train chosen_too/config.ini --output repeated_too; want 0 ''
    same chosen_too/weights.safetensors repeated_too/weights.safetensors
}

backend() { sed -n 's/^backend  *//p' out; }
# The instruction sets that the processor runs, the best first: "v4 v3 base".
sets()
{
    "$onestep" info | sed -n 's/^isa  *\([a-z0-9]*\) ([^)]*)\(; this processor also runs\)\{0,1\}/\1/p' | tr -d ,
}
lanes() { best=$(sets); echo "lanes (${best%% *})"; }
busy() { grep -q '^onestep: the machine is busy: ' err; }
# What is told where a backend is chosen by itself while others use the processor: not a fault.
not_busy() { sed -i '/^onestep: the machine is busy: /d' err; }

# auto NAME [PROGRAM]: a run that chooses its backend itself
auto()
{
    timeout 60 "${2:-$onestep}" train tiny.ini --output "$1" --set output.overwrite=true --set cpu.backend=auto > out 2> err
    code=$?
}

# Measured once, then remembered, by this program alone; a choice made on a busy machine is told, and forgotten.
chosen_backend()
{
    XDG_CACHE_HOME=$folder/choices; export XDG_CACHE_HOME
    run train tiny.ini --output chosen-one; want 0 ''
    [ "$(backend)" = "$(lanes) in fp32, as configured" ] || echo "a configured backend: $(backend)"
    auto chosen-one; want 0 "$(sed -n 's/^onestep: //p' err)"
    case $(backend) in *', the only one here') echo 'SKIP this build has one backend'; return ;; esac
    tries=1
    while busy && [ $tries -lt 10 ]; do
        [ "$(wc -l < err)" = 1 ] || echo "want one line, got: $(cat err)"
        case $(backend) in *', measured now on a busy machine') ;; *) echo "on a busy machine: $(backend)" ;; esac
        [ -z "$(ls choices/onestep)" ] || echo "a disturbed choice is remembered: $(ls choices/onestep)"
        tries=$((tries + 1))
        auto chosen-one; want 0 "$(sed -n 's/^onestep: //p' err)"
    done
    busy && { echo 'SKIP the machine was busy ten times'; return; }
    name=$(backend); name=${name%%,*}
    [ "$(backend)" = "$name, the fastest, measured now" ] || echo "the first time: $(backend)"
    [ "$(ls choices/onestep | wc -l)" = 1 ] || echo "want one file, got: $(ls choices/onestep)"
    auto chosen-one; want 0 ''
    [ "$(backend)" = "$name, the fastest, remembered" ] || echo "the second time: $(backend)"
    cp "$onestep" program; printf x >> program
    auto chosen-other ./program; not_busy; want 0 ''
    case $(backend) in *', measured now'*) ;; *) echo "another program: $(backend)" ;; esac
    rm -rf choices; : > choices
    auto chosen-one
    busy || grep -q '^onestep: the choice of a backend is not remembered: .*: Not a directory$' err || echo "without a place to remember: $(cat err)"
    [ $code = 0 ] || echo "without a place to remember: exit code $code"
    case $(backend) in *'measured now'*) ;; *) echo "without a place to remember: $(backend)" ;; esac
}

# A resumed run keeps the backend that it began with, whatever is remembered or would be measured now, and measures nothing.
resumed_backend()
{
    run train tiny.ini --output kept --set cpu.backend=reference; want 0 ''
    XDG_CACHE_HOME=$folder/nothing; export XDG_CACHE_HOME
    run train --resume kept --set train.iterations=4; want 0 ''
    [ "$(backend)" = "reference in fp32, the checkpoint's" ] || echo "without a config: $(backend)"
    run train tiny.ini --output kept --resume --set train.iterations=6 --set cpu.backend=auto --set train.precision=auto; want 0 ''
    [ "$(backend)" = "reference in fp32, the checkpoint's" ] || echo "with a config that says auto: $(backend)"
    run train --resume kept --set train.iterations=8 --set cpu.backend=lanes; want 0 ''
    [ "$(backend)" = "$(lanes) in fp32, as configured" ] || echo "with another one asked for: $(backend)"
    [ -e nothing ] && echo "something was measured: $(find nothing)"
}

# cpu.isa is the machine's: files do not keep it, and it changes no bit of what the reference computes.
instruction_sets()
{
    sets=$(sets) best=${sets%% *}
    [ -n "$sets" ] || echo "info does not tell the instruction sets"
    for isa in base v3 v4; do
        case " $sets " in
        *" $isa "*) run train tiny.ini --output isa-$isa --set cpu.isa=$isa; want 0 ''
            [ "$(backend)" = "lanes ($isa) in fp32, as configured" ] || echo "with cpu.isa=$isa: $(backend)"
            grep -q "^isa = $isa\$" isa-$isa/config.ini || echo "cpu.isa=$isa is not in config.ini"
            grep -q "isa = $isa" isa-$isa/*.safetensors && echo "files of weights keep cpu.isa=$isa"
            run eval isa-$isa/weights.safetensors --set cpu.isa=$isa; want 0 ''
            grep -q "^net .* on lanes ($isa), " out || echo "eval with cpu.isa=$isa: $(grep '^net' out)" ;;
        *) refuse 2 "tiny.ini: [cpu] isa: want what this processor runs ($(echo "$sets" | sed 's/ /, /g')), got $isa" \
            train tiny.ini --output never --set cpu.isa=$isa ;;
        esac
    done
    run train --resume isa-base --set train.iterations=4; want 0 ''
    [ "$(backend)" = "lanes ($best) in fp32, the checkpoint's" ] || echo "a resumed run: $(backend)"
    run train --resume isa-base --set train.iterations=6 --set cpu.isa=base; want 0 ''
    [ "$(backend)" = "lanes (base) in fp32, the checkpoint's" ] || echo "a resumed run with cpu.isa=base: $(backend)"
    case " $sets " in
    *' v4 '*) run train tiny.ini --output isa-whole --set cpu.isa=v4 --set train.iterations=4; want 0 ''
        run train --resume isa-v4 --set train.iterations=4 --set cpu.isa=v3; want 0 ''
        [ "$(backend)" = "lanes (v3) in fp32, the checkpoint's" ] || echo "begun with v4, resumed with v3: $(backend)"
        same isa-whole/weights.safetensors isa-v4/weights.safetensors ;;
    *) echo 'SKIP begun with v4, resumed with v3: this processor does not run v4' ;;
    esac
    for isa in base $best; do
        run train tiny.ini --output plain-$isa --set cpu.backend=reference --set cpu.isa=$isa; want 0 ''
    done
    same plain-base/weights.safetensors plain-"$best"/weights.safetensors
    command -v qemu-x86_64 > /dev/null && [ "$(uname -m)" = x86_64 ] ||
        { echo 'SKIP the rest: there is no qemu-x86_64'; return; }
    timeout 60 qemu-x86_64 -cpu Nehalem "$onestep" train tiny.ini --output never --set cpu.isa=v3 > out 2> err; code=$?
    want 2 'tiny.ini: [cpu] isa: want what this processor runs (base), got v3'
    timeout 60 qemu-x86_64 -cpu Nehalem "$onestep" train tiny.ini --output old > out 2> err; code=$?
    want 0 ''
    [ "$(backend)" = 'lanes (base) in fp32, as configured' ] || echo "on an old processor: $(backend)"
}

# A machine that hwloc reads from a file: its fast cores are 4 and 6.
fast_cores()
{
    HWLOC_XMLFILE=$(dirname "$use")/inputs/topology/hybrid.xml; export HWLOC_XMLFILE
    run info; want 0 ''
    grep -q '^cpu  *Hybrid, 6 cores for us (2 fast), ' out || echo "info: $(grep '^cpu' out)"
    for workers in '1 1 of 2 fast cores' '2 2 fast cores' '3 2 fast cores and 1 of 4 slower'; do
        count=${workers%% *}
        run train tiny.ini --output "fast-$count" --set workers.count=$count --set data.batch=2; want 0 ''
        grep -q "^workers  *$count of batch 2, on ${workers#* }\$" out || echo "$count workers: $(grep '^workers' out)"
    done
    run train tiny.ini --output fast-loose --set workers.pin=false; want 0 ''
    grep -q '^workers  *2 of batch 4, on cpu$' out || echo "not pinned: $(grep '^workers' out)"
    unset HWLOC_XMLFILE
    command -v taskset > /dev/null || { echo 'SKIP the rest: there is no taskset'; return; }
    mine=$(taskset -c -p $$ | sed 's/.*: //; s/[-,].*//')
    timeout 60 taskset -c "$mine" "$onestep" info > out 2> err; code=$?
    want 0 ''
    grep -q '^cpu .*, 1 core for us, ' out || echo "with a mask of one processor: $(grep '^cpu' out)"
}

# Files hold fp32 whatever a run computes in.
precisions_mix()
{
    refuse 2 '--set: [train] precision: want auto, fp32, bf16 or fp16, got "fp64"' train small.ini --set train.precision=fp64
    run train small.ini --output never --set cpu.backend=lanes --set train.precision=bf16
    sed -i 's/do: .*/do: /' err
    want 2 '[train] precision: lanes does not compute in bf16, here these do: '
    run train tiny.ini --output narrow --set cpu.backend=reference --set train.precision=bf16; want 0 ''
    run train tiny.ini --output half --set cpu.backend=reference --set train.precision=fp16 --set train.loss_scale=16777216; want 0 ''
    grep -q '^fp16: loss scale [0-9.e+]*; [1-9][0-9]* of [0-9]* gradients overflowed and were skipped$' out || echo "what was skipped is not told: $(grep fp16 out)"
    awk -F, '$1 == "epoch" { scale = $13; skipped = $14 } END { if (scale < 1 || scale > 8388608 || skipped < 1) print "metrics.csv: " $0 }' half/metrics.csv
    grep -q BF16 narrow/weights.safetensors && echo "there is bf16 in narrow/weights.safetensors"
    run train tiny.ini --output wide --set train.init=narrow/weights.safetensors --set train.precision=fp32; want 0 ''
    run train tiny.ini --output narrow_again --set train.init=wide/weights.safetensors --set cpu.backend=reference --set train.precision=bf16; want 0 ''
}

replay_repeats()
{
    run train small.ini --output free --set train.algorithm=asgd --set async.record=order; want 0 ''
    for i in 1 2; do run train small.ini --output replay$i --set train.algorithm=asgd --set async.order=replay --set async.replay=order; want 0 ''; done
    same replay1/weights.safetensors replay2/weights.safetensors
    head -c 100 order > cut
    run train small.ini --output never --set train.algorithm=asgd --set async.order=replay --set async.replay=cut
    sed -i 's/want [0-9]* bytes for [0-9]* pushes/want N bytes for N pushes/' err
    want 4 'cut: want N bytes for N pushes, found 100'
    refuse 4 'order: recorded with 2 workers, want as many as this run has: 1' train small.ini --output never --set train.algorithm=asgd --set async.order=replay --set async.replay=order --set workers.count=1
}

check 'help, version, info' help
check 'nothing is wider than 80 columns' widths
check 'the help names what a key may be' values_are_named
check 'wrong words' wrong_words
check 'wrong --set' wrong_set
check 'a config that cannot be read' unreadable_config
check 'a config that is wrong' wrong_config
check 'keys and sections that are missing' missing_keys
check 'keys that contradict each other' keys_that_contradict
check 'keys that replace each other' replaced_keys
check 'names that do not exist' unknown_names
check 'a config printed whole reads back to the same' config_reads_back
check 'data that is missing' missing_data
check 'data plain and gzipped' plain_and_gzipped_data
check 'data that is damaged' damaged_data
check 'gzipped data that is damaged' damaged_gzip
check 'weights that are missing or wrong' wrong_weights
check 'training goes on from given weights' training_goes_on_from_weights
check 'the folder exists, or cannot be made' folder_exists
check 'a disk that is full once, at every write' full_disk
check 'a disk that stays full' full_disk_stays
check 'a failing sync, at every one' failing_sync
check 'a failing close, at every one' failing_close
check 'a failing rename, at every one' failing_rename
check 'a failing open, at every one' failing_open
check 'a failing read, at every one' failing_read
check 'no memory, at every allocation' out_of_memory
check 'what failing writes say' fault_texts
check 'standard output is full' full_stdout
check 'numbers that are not finite' not_finite
check 'more workers than cores' many_workers
check 'a live line on a terminal' on_a_terminal
check 'SIGINT in the middle' interrupt
check 'SIGTERM in the middle' terminate
check 'a second signal' second_signal
check 'one seed, the same bytes' same_bytes
check 'augmented images: the same bytes, and none in evaluation' augmentation
check 'the resolved config repeats the run' resolved_config_repeats
check 'a backend is measured once, and remembered' chosen_backend
check 'a resumed run keeps its backend' resumed_backend
check 'instruction sets' instruction_sets
check 'workers go to the fast cores' fast_cores
check 'precisions in one life of weights' precisions_mix
check 'a recorded order repeats the run' replay_repeats
. "$use"
check 'words of --resume' resume_words
check 'resuming a finished run' finished_run
check 'stopped and resumed: the same bytes' resumed_to_the_same_bytes
check 'recorded, stopped and resumed: a replay gives the same bytes' recorded_and_resumed
check 'resumed elsewhere, with other settings' resumed_otherwise
check 'checkpoints are weights' checkpoints_are_weights
check 'checkpoints that are damaged' damaged_checkpoints
check 'killed 200 times' killed_again_and_again
