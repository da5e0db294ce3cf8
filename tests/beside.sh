# For tests in sh that run a program in the background: they wait for a line, a file or a state of the process, and
# not for a time. cli.sh and gpus_faults.sh read this file.

# begin WORDS...: starts a command in the background, as $process; its output goes to the files out and err
begin()
{
    : > out # now: the process may empty it later than the test reads it
    "$@" > out 2> err &
    process=$!
}

# lives: whether $process has not ended
lives() { grep -qs '^State:[[:blank:]]*[RSDTtI]' "/proc/$process/status"; }

# await WORDS...: waits until that command succeeds or $process has ended, for at least two minutes
await()
{
    tries=0
    until "$@" 2> /dev/null; do
        lives || { "$@" 2> /dev/null; return; }
        [ $tries -lt 24000 ] || { echo "waited in vain for: $*"; return 1; }
        sleep 0.005
        tries=$((tries + 1))
    done
}

# ended: waits for the end of $process, and kills it if it does not end by itself; its exit code is in $code
ended() { await eval '! lives' || kill -KILL $process; wait $process; code=$?; }

# stop SIGNAL: sends it to $process, and waits until the process has received it
stop() { kill -"$1" $process && await grep -q '^ShdPnd:[[:blank:]]*0*$' "/proc/$process/status"; }
