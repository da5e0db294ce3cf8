# A program that runs beside a test written in sh, which waits for what it needs and not for a time. Read by cli.sh and gpus_faults.sh.

# begin WORDS...: a command beside the test, as $process; its output in the files out and err
begin()
{
    : > out # at once: the process itself may come to it late
    "$@" > out 2> err &
    process=$!
}

# lives: whether $process has not ended
lives() { grep -qs '^State:[[:blank:]]*[RSDTtI]' "/proc/$process/status"; }

# await WORDS...: until that command succeeds, or $process has ended; two minutes at least are enough for it
await()
{
    tries=0
    until "$@" 2> /dev/null; do
        lives || { "$@" 2> /dev/null; return; }
        [ $tries -lt 12000 ] || { echo "waited in vain for: $*"; return 1; }
        sleep 0.01
        tries=$((tries + 1))
    done
}

# ended: $process's exit code in $code; it is killed where it does not end by itself
ended() { await eval '! lives' || kill -KILL $process; wait $process; code=$?; }

# stop SIGNAL: sends it to $process, and waits until it has been taken
stop() { kill -"$1" $process && await grep -q '^ShdPnd:[[:blank:]]*0*$' "/proc/$process/status"; }
