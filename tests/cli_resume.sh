# Checkpoints and --resume from outside; cli.sh reads this file.

# tensors FILE: its bytes behind the header
tensors() { tail -c +$(($(od -An -t u8 -N 8 "$1") + 9)) "$1"; }
same_tensors() { tensors "$1" > one; tensors "$2" > two; same one two; }
newest() { ls "$1"/checkpoint-*.safetensors 2> /dev/null | tail -n 1; }
iteration() { basename "$1" .safetensors | sed 's/checkpoint-0*\([0-9]\)/\1/'; }
# figures FOLDER: metrics.csv without times, and without the marks of resuming
figures() { grep -v '^resumed_from' "$1/metrics.csv" | cut -d , -f 1-10; }

resume_words()
{
    mkdir -p hollow
    refuse 9 'hollow: nothing valid to resume from: it holds no checkpoint' train small.ini --output hollow --resume
    refuse 9 'nowhere: nothing valid to resume from: there is no file or folder of that name' train --resume nowhere
    refuse 2 'train: --resume: want a checkpoint or a run'"'"'s folder after it, or --output DIR, got neither' train small.ini --resume
    refuse 2 'train: want --set, --output or --resume, got "--go"; onestep train --help' train small.ini --go
    refuse 9 'small.ini: nothing valid to resume from: small.ini: want a safetensors file, which begins with its header'"'"'s length, found 7208676826705650779 there and '"$(($(wc -c < small.ini) - 8))"' bytes behind it' \
        train --resume small.ini
    refuse 2 'small.ini: [checkpoint] every: want N epochs, N iterations, N minutes (N above 0; whole iterations) or off, got "often"' train small.ini --set checkpoint.every=often
    run train small.ini --output state; want 0 ''
    refuse 9 'state/weights.safetensors: nothing valid to resume from: state/weights.safetensors: metadata "reported": want a number, found none: these are weights, not a run'"'"'s state' \
        train --resume state/weights.safetensors
    refuse 2 'small.ini: [train] seed: want 1, as in the checkpoint, got 2' train small.ini --output state --resume --set train.seed=2
    refuse 2 '--set: [net] name: want mlp, as in the checkpoint, got lenet' train --resume state --set net.name=lenet
    refuse 2 "$(newest state): is at iteration 20, want one of this run's 12; train.epochs and train.iterations make it longer" train --resume state --set train.epochs=0 --set train.iterations=12
    run train --resume state --set train.epochs=3; want 0 ''
    grep -q '^resumed    from iteration 20, state/checkpoint-000000020.safetensors$' out || echo "it does not say what it goes on from: $(cat out)"
}

# A run that is at its end says so in one line and changes nothing; where its results are missing, they are written.
finished_run()
{
    run train small.ini --output ended; want 0 ''
    (cd ended && md5sum *) > before
    for words in '--resume ended' "--resume $(newest ended)" 'small.ini --output ended --resume'; do
        run train $words; want 0 '' # split
        [ "$(cat out)" = 'ended: finished after 20 iterations; a larger --set train.epochs makes it longer' ] || echo "$words: $(cat out)"
        (cd ended && md5sum *) | cmp -s before - || echo "$words: files have changed: $(ls ended)"
    done
    run train --resume ended --set train.iterations=20; want 0 ''
    [ "$(cat out)" = 'ended: finished after 20 iterations; a larger --set train.iterations makes it longer' ] || echo "in iterations: $(cat out)"
    cp ended/weights.safetensors whole.safetensors
    rm ended/weights.safetensors
    run train --resume ended; want 0 ''
    tr -s ' \n' ' ' < out | grep -q "nothing is left to train, and the results are written" || echo "it does not say that nothing is left: $(cat out)"
    same_tensors whole.safetensors ended/weights.safetensors
    run train small.ini --output shorter --set train.epochs=1; want 0 ''
    cp shorter/weights.safetensors ended # as of a stop, after which a run was killed at its end
    run train --resume ended; want 0 ''
    same_tensors whole.safetensors ended/weights.safetensors
    run train --resume ended --set train.epochs=3; want 0 ''
    [ "$(awk -F, '$1 == "epoch" { last = $3 } END { print last }' ended/metrics.csv)" = 30 ] || echo "it did not go on: $(cat ended/metrics.csv)"
}

# stopped_halfway NAME WORDS...: a run of 300 iterations, stopped in the middle; $stopped: at which iteration. If the
# run was over before it could be stopped, it is run again, slower.
stopped_halfway()
{
    name=$1; shift
    for slowdown in 30 300 1000; do
        begin "$onestep" train small.ini --output "$name" --set output.overwrite=true --set train.epochs=30 \
            --set workers.slowdown=$slowdown "$@"
        await grep -q '^epoch,2,' "$name/metrics.csv"
        kill -INT $process
        ended
        [ $code = 0 ] || break
    done
    [ $code = 130 ] || echo "$name: exit code $code, want 130: $(cat err)"
    grep -q "; the last good checkpoint is $(newest "$name")\$" err || echo "$name: the last checkpoint is not named: $(cat err)"
    stopped=$(iteration "$(newest "$name")")
    [ "$stopped" -lt 300 ] || echo "$name: it was not stopped in the middle"
}

# interrupted_and_resumed NAME WORDS...: a whole run; the same stopped in the middle, and gone on with
interrupted_and_resumed()
{
    name=$1; shift
    run train small.ini --output "$name-whole" --set train.epochs=30 "$@"; want 0 ''
    stopped_halfway "$name" "$@"
    run train small.ini --output "$name" --set train.epochs=30 "$@" --resume; want 0 ''
    same_tensors "$name-whole/weights.safetensors" "$name/weights.safetensors"
    same_tensors "$(newest "$name-whole")" "$(newest "$name")"
    [ "$(grep -c "^resumed_from,[0-9.]*,$stopped," "$name/metrics.csv")" = 1 ] || echo "$name: metrics.csv does not say resumed_from $stopped"
}

resumed_to_the_same_bytes()
{
    interrupted_and_resumed res-odsgd
    figures res-odsgd-whole > one; figures res-odsgd > two; same one two
    interrupted_and_resumed res-ssgd --set train.algorithm=ssgd --set train.log_every=7 --set train.ema_decay=0.99
    figures res-ssgd-whole > one; figures res-ssgd > two; same one two
    interrupted_and_resumed res-adc --set odsgd.local_update=adc --set odsgd.momentum_local=0.5 --set optimizer.clip_norm=1
    interrupted_and_resumed res-asgd --set train.algorithm=asgd --set async.order=round-robin
    # which worker's step ends an epoch is chance; what is evaluated is not
    figures res-asgd-whole | cut -d , -f 1-5,8- > one; figures res-asgd | cut -d , -f 1-5,8- > two; same one two
}

# A record goes on where the run does: a replay of it is the run that was interrupted.
recorded_and_resumed()
{
    for algorithm in asgd dcasgd; do
        words="--set train.algorithm=$algorithm --set async.order=free --set link.bandwidth_gbps=10 --set link.latency_us=50"
        stopped_halfway "rec-$algorithm" $words --set async.record="record-$algorithm"
        run train --resume "rec-$algorithm" --set workers.slowdown=1; want 0 ''
        run train small.ini --output "rec-$algorithm-again" --set train.epochs=30 $words --set async.order=replay --set async.replay="record-$algorithm"; want 0 ''
        same_tensors "rec-$algorithm/weights.safetensors" "rec-$algorithm-again/weights.safetensors"
    done
}

# What a run goes on with may differ from what it began with; where it writes, too.
resumed_otherwise()
{
    run train small.ini --output whole --set checkpoint.keep=9 --set checkpoint.every='10 iterations' --set workers.slowdown=20 --set train.epochs=6; want 0 ''
    ls whole > before
    first=$(ls whole/checkpoint-*.safetensors | head -n 1)
    run train --resume "$first" --output branch --set data.loader_threads=3 --set data.prefetch=9; [ "$code" = 0 ] || echo "a branch: exit code $code, $(cat err)"
    ls whole | cmp -s - before || echo "the folder that a branch begins from has changed: $(ls whole)"
    same_tensors whole/weights.safetensors branch/weights.safetensors
    [ "$(ls branch/checkpoint-*.safetensors | wc -l)" -gt 2 ] || echo "checkpoint.keep was forgotten: $(ls branch)"
    refuse 2 "branch: exists already; want a new folder, or --set output.overwrite=true; the last good checkpoint is $first" train --resume "$first" --output branch
    run train --resume "$first" --output other --set train.precision=bf16 --set train.init=nowhere --set cpu.backend=reference; [ "$code" = 0 ] || echo "otherwise: exit code $code, $(cat err)"
    ln -s whole link
    cd whole || return
    run train --resume --output ../link --set train.epochs=7; want 0 ''
    run train --resume ./"$(basename "$(newest .)")" --set train.epochs=8; want 0 ''
    cd ..
    [ "$(grep -c '^resumed_from' whole/metrics.csv)" = 2 ] && [ "$(cut -d , -f 1,3 whole/metrics.csv | grep '^epoch' | uniq -d | wc -l)" = 0 ] || echo "rows of metrics.csv: $(cat whole/metrics.csv)"
}

# What is evaluated is what the checkpoint holds.
checkpoints_are_weights()
{
    run train small.ini --output evaluated; want 0 ''
    run eval "$(newest evaluated)" --json; want 0 ''; grep '"correct"\|"loss"' out > one
    run eval evaluated/weights.safetensors --json; want 0 ''; grep '"correct"\|"loss"' out > two
    same one two
    run train small.ini --output from-it --set train.init="$(newest evaluated)"; want 0 ''
}

# A file that is not what was written is refused with one line; from a folder, the one before is taken.
damaged_checkpoints()
{
    run train small.ini --output good --set checkpoint.every='10 iterations' --set workers.slowdown=20; want 0 ''
    mkdir -p bad; file=$(newest good); size=$(wc -c < "$file"); copy=bad/$(basename "$file")
    refused()
    {
        run train --resume "$copy"
        [ "$code" = 9 ] && [ "$(wc -l < err)" = 1 ] && grep -q "^onestep: $copy: nothing valid to resume from: $copy: " err || echo "$1: exit code $code, $(cat err)"
    }
    for part in $(seq 0 99); do
        head -c $((size * part / 100)) "$file" > "$copy"
        refused "cut at $part/100"
    done
    for flip in $(seq 0 63); do
        at=$((flip < 24 ? flip * 40 : (size - 1) * (flip - 24) / 39))
        byte=$(od -An -t u1 -j $at -N 1 "$file")
        cp "$file" "$copy"
        printf "\\$(printf %o $((byte ^ (1 << (flip % 8)))))" | dd of="$copy" bs=1 seek=$at conv=notrunc 2> /dev/null
        refused "bit $((flip % 8)) of byte $at"
    done
    cp "$file" "$copy"
    printf '\000\000\000\000\000\000\000\200' | dd of="$copy" bs=1 conv=notrunc 2> /dev/null
    refused 'a header of 2^63 bytes'
    cp good/checkpoint-*.safetensors bad
    head -c 5000 "$file" > "$copy"
    run train --resume bad
    [ "$code" = 0 ] && grep -q "^onestep: warning: $copy: .*; going on from the one before\$" err || echo "the one before was not taken: $code, $(cat err)"
    same_tensors bad/weights.safetensors good/weights.safetensors
}

# Killed at any moment, it goes on from a checkpoint that loads, and ends on the bytes of a run that was left alone.
# The moments are spread over the first two epochs of training, as long as they take on this machine. Every tenth kill
# waits for a new checkpoint first, so that the runs get on even if the machine has become slower meanwhile.
killed_again_and_again()
{
    run train small.ini --output paced --set train.epochs=8 --set workers.slowdown=10; want 0 ''
    epoch_ms=$(awk -F, '$1 == "epoch" { ms = $12 * 1000 / 8 } END { printf "%d", ms + 1 }' paced/metrics.csv)
    writing_ms=$(sed -n 's/^checkpoints: .* and \([0-9]*\) ms each$/\1/p' out)
    before=0 kills=0 far=0 grown=0 resume=
    long='--set train.epochs=0 --set train.iterations=1000000 --set workers.slowdown=10'
    while [ $kills -lt 200 ]; do
        begin "$onestep" train small.ini --output killed $long $resume # split
        await grep -q '^into ' out
        [ $((kills % 10)) != 9 ] || await newer_than "$before"
        after_ms=$((kills * 7919 % 97 * epoch_ms * 2 / 97))
        sleep "$((after_ms / 1000)).$(printf %03d $((after_ms % 1000)))"
        kill -KILL $process 2> /dev/null
        wait $process 2> /dev/null
        kills=$((kills + 1))
        [ ! -s err ] || { echo "kill $kills: $(cat err)"; return; }
        [ -n "$(newest killed)" ] || { rm -rf killed; continue; }
        resume=--resume
        now=$(iteration "$(newest killed)")
        [ "$now" -ge "$before" ] || echo "kill $kills: the newest checkpoint is of iteration $now, it was $before"
        [ "$now" = "$before" ] || grown=$((grown + 1))
        last=$(awk -F, '$1 == "epoch" { last = $3 } END { print last + 0 }' killed/metrics.csv)
        [ $((last - now)) -le $((20 + 20 * writing_ms / epoch_ms)) ] || far=$((far + 1))
        before=$now
    done
    # One interval is lost, and one more that was being written; more where writing takes longer than an interval.
    # A busy machine may lag behind that, but not as a rule.
    [ $far -le 20 ] || echo "$far of $kills kills lost more than two epochs ($epoch_ms ms each; writing takes $writing_ms ms)"
    [ $grown -ge 20 ] || echo "the runs got on only $grown times"
    end=$((before + 25))
    run train --resume killed --set train.iterations=$end --set workers.slowdown=1; want 0 ''
    run train small.ini --output unkilled --set train.epochs=0 --set train.iterations=$end; want 0 ''
    same_tensors killed/weights.safetensors unkilled/weights.safetensors
    figures killed > one; figures unkilled > two; same one two
}

# newer_than ITERATION: whether there is a checkpoint of a later one
newer_than() { newer=$(newest killed) && [ -n "$newer" ] && [ "$(iteration "$newer")" -gt "$1" ]; }
