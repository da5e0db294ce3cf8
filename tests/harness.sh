#!/bin/sh
# The tests' own machinery: what the test binary and tests/count say of subjects that crash, leave, hang or fail
# (tests/faulty.c), and that a line is shown as soon as it is written. RUN: the test binary.
# A test is a function that prints what is wrong, or "SKIP reason"; silence is a pass.
cd "$(dirname "$0")/.." || exit 1
run=${RUN:-build/release/tests/run}
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

# check NAME FUNCTION [WORDS...]
check()
{
    name=$1
    shift
    details=$("$@" 2>&1)
    case $details in
    '') echo "PASS harness: $name" ;;
    'SKIP '*) echo "SKIP harness: $name (${details#SKIP })" ;;
    *) echo "FAIL harness: $name"; echo "$details" | sed 's/^/    /' ;;
    esac
}

# shown CODE: standard input is what tests/count must show of the file `written`, and CODE what it must exit with
shown()
{
    cat > "$folder/wanted"
    sh tests/count < "$folder/written" > "$folder/got"
    code=$?
    [ $code = "$1" ] || echo "exit code $code of tests/count, want $1"
    # what cmocka says of a failure besides differs from version to version
    grep -vE '^    +(0|message: .*|severity: .*|.*faulty\.c:[0-9]+: error: Failure!)$' "$folder/got" | diff "$folder/wanted" -
}

# subjects CODE WORDS...: runs them; $limit: the seconds that each may take
limit=600
subjects()
{
    wanted_code=$1
    shift
    {
        ONESTEP_TEST_VARIANT= ONESTEP_TEST_SECONDS=$limit "$run" "$@" 2>&1
        echo $? > "$folder/code"
    } | timeout 900 cat > "$folder/all" || echo 'a process that is left keeps the pipe open'
    found=$(cat "$folder/code")
    [ "$found" = "$wanted_code" ] || echo "exit code $found of tests/run, want $wanted_code"
    grep -v '^# took: ' "$folder/all" > "$folder/written"
}

assertion()
{
    subjects 1 faulty_assert interval
    sed -i 's/faulty.c:[0-9]*/faulty.c:N/' "$folder/written"
    shown 1 << 'END'
PASS faulty_assert: passes
FAIL faulty_assert: asserts
    onestep: tests/faulty.c:N: an invariant is broken: two == 3
    it left with exit code 10
    not run: is_skipped, passes
PASS interval: words
PASS interval: multiples
3 passed, 1 failed, 0 skipped
END
}

# fault SUBJECT TEST LINE...: died in its second test, and nothing else was hidden
fault()
{
    subject=$1 test=$2
    shift 2
    subjects 1 "$subject" interval
    {
        echo "PASS $subject: passes"
        echo "FAIL $subject: $test"
        for line; do echo "    $line"; done
        printf '    not run: is_skipped, passes\nPASS interval: words\nPASS interval: multiples\n3 passed, 1 failed, 0 skipped\n'
    } | shown 1
}

hang()
{
    limit=3
    fault faulty_hang hangs 'it was killed after 3 s'
}

failure()
{
    subjects 1 faulty_checks
    shown 1 << 'END'
PASS faulty_checks: passes
FAIL faulty_checks: fails
    two is not three
SKIP faulty_checks: is_skipped (it has a reason)
PASS faulty_checks: passes
2 passed, 1 failed, 1 skipped
END
}

group_setup()
{
    subjects 1 faulty_setup interval
    shown 1 << 'END'
FAIL faulty_setup: its setup or teardown
    no folder
    not run: passes, passes, is_skipped, passes
PASS interval: words
PASS interval: multiples
2 passed, 1 failed, 0 skipped
END
}

all_pass()
{
    subjects 0 interval
    shown 0 << 'END'
PASS interval: words
PASS interval: multiples
2 passed, 0 failed, 0 skipped
END
    ONESTEP_TEST_VARIANT=asan "$run" interval > "$folder/written"
    grep -q '^# took: [0-9.]* asan interval$' "$folder/written" || echo "the time is not told: $(cat "$folder/written")"
    shown 0 << 'END'
PASS asan interval: words
PASS asan interval: multiples
2 passed, 0 failed, 0 skipped
END
}

wrong_words()
{
    subjects 2 intervall
    grep -q 'no subject "intervall"' "$folder/written" || cat "$folder/written"
    "$run" --list | grep faulty
    ONESTEP_TEST_SECONDS=2s "$run" interval > "$folder/written" 2>&1 && echo "2s is taken for a number"
    grep -qx 'ONESTEP_TEST_SECONDS: want 1..1000000, got "2s"' "$folder/written" || cat "$folder/written"
}

# As the versions write it: 1.1.5 of Debian 12, 1.1.7 of Debian 13, 2.0.
versions_of_cmocka()
{
    cat > "$folder/tail" << 'END'
not ok 3 - c
# 0 is not true
# a.c:10: error: Failure
not ok 4 - d Could not run test: Test setup failed
# ok - g
# took: 0.0 s
END
    cat > "$folder/wanted_of_1" << 'END'
SKIP s: a (why)
PASS s: b # SKIPPED
FAIL s: c
    hello
    0 is not true
    a.c:10: error: Failure
FAIL s: d Could not run test: Test setup failed
---- failed:
    s: c
    s: d Could not run test: Test setup failed
1 passed, 2 failed, 1 skipped
END
    head='# subject: s\n# test: a\n# test: b\n# test: c\n# test: d\n'
    { printf "${head}1..4\n# skip: why\nnot ok 1 # SKIP a\nok 2 - b # SKIPPED\nhello\n"; cat "$folder/tail"; } > "$folder/written"
    shown 1 < "$folder/wanted_of_1"
    { printf "${head}TAP version 13\n1..4\n# skip: why\nok 1 # SKIP a\nok 2 - b # SKIPPED\nhello\n"; cat "$folder/tail"; } > "$folder/written"
    shown 1 < "$folder/wanted_of_1"
    {
        printf "${head}TAP version 14\n1..4\n# skip: why\nok 1 - a # SKIP\nok 2 - b # SKIPPED\nhello\nnot ok 3 - c\n"
        printf '  ---\n  message: |-\n    0 is not true\n    a.c:10: error: Failure\n  severity: fail\n  ...\nnot ok 4 - d\n  ---\n'
        printf "  message: 'Could not run test'\n  severity: error\n  ...\n# not ok - g\n# took: 0.0 s\n"
    } > "$folder/written"
    sed 's/d Could.*/d/' "$folder/wanted_of_1" > "$folder/wanted_of_2"
    shown 1 < "$folder/wanted_of_2"
}

# The process that runs the subjects is killed: by the system where memory is short.
cut_off()
{
    printf '# subject: one\n# test: a\n# test: b\n# test: c\n1..3\nok 1 - a\nwhat was said\n' > "$folder/written"
    shown 1 << 'END'
PASS one: a
FAIL one: b
    what was said
    its output breaks off
    not run: c
1 passed, 1 failed, 0 skipped
END
    echo 'run: error while loading shared libraries' > "$folder/written"
    echo '0 passed, 0 failed, 0 skipped' | shown 1
    printf '# subject: one\n# took: 0.0 one\n' > "$folder/written"
    printf 'FAIL one: its end\n    it ran no test\n0 passed, 1 failed, 0 skipped\n' | shown 1
    printf '# subject: one\n# test: a\n1..1\nok 1 - a\nERROR: LeakSanitizer\n' > "$folder/written"
    printf '# died: it left with exit code 23\n# took: 0.0 one\n' >> "$folder/written"
    shown 1 << 'END'
PASS one: a
FAIL one: its end
    ERROR: LeakSanitizer
    it left with exit code 23
1 passed, 1 failed, 0 skipped
END
}

stages()
{
    printf '# stage: 0 first\nPASS a: b c\n# took: 12 a: b c\nnoise\nSKIP a: d (none here)\n' > "$folder/written"
    printf '# stage: 75 second\nFAIL e\n    f\n# took: 3.5 e\n# took: 0.5 g\n' >> "$folder/written"
    cat > "$folder/begins" << 'END'
---- 0:00 first
PASS a: b c
SKIP a: d (none here)
---- 1:15 second
FAIL e
    f
END
    cat "$folder/begins" - << 'END' | shown 1
FAIL the run of all tests broke off
---- failed:
    e
    the run of all tests broke off
1 passed, 2 failed, 1 skipped
END
    echo '# total: 754' >> "$folder/written"
    cat "$folder/begins" - << 'END' | shown 1
---- 12:34 in all; the slowest, in seconds:
    12.0  a: b c
     3.5  e
---- failed:
    e
1 passed, 1 failed, 1 skipped
END
}

# line_by_line AWK: a line is shown while the one who writes keeps the pipe open
line_by_line()
{
    [ -n "$(command -v "${1%% *}")" ] || { echo "SKIP it is not installed"; return; }
    rm -f "$folder/pipe"
    : > "$folder/shown"
    mkfifo "$folder/pipe"
    AWK=$1 sh tests/count < "$folder/pipe" > "$folder/shown" &
    exec 9> "$folder/pipe"
    printf '# stage: 0 one\nPASS a\n' >&9
    tries=0
    until grep -q '^PASS a' "$folder/shown" || [ $tries -ge 3000 ]; do sleep 0.01; tries=$((tries + 1)); done
    [ "$(cat "$folder/shown")" = "$(printf -- '---- 0:00 one\nPASS a')" ] || echo "before the end: $(cat "$folder/shown")"
    printf '# total: 1\n' >&9
    exec 9>&-
    wait $! || echo "exit code $?"
    [ "$(tail -n 1 "$folder/shown")" = '1 passed, 0 failed, 0 skipped' ] || echo "its last line: $(tail -n 1 "$folder/shown")"
}

if [ -x "$run" ]; then
    check 'a broken invariant' assertion
    check 'an abort' fault faulty_abort aborts 'a library does not like this' 'signal 6, Aborted'
    check 'a fault of memory' fault faulty_segfault segfaults 'signal 11, Segmentation fault'
    check 'an early exit' fault faulty_exit leaves 'it left with exit code 0'
    check 'a hang' hang
    check 'a failed test' failure
    check 'a group that cannot begin' group_setup
    check 'tests that pass' all_pass
    check 'wrong words' wrong_words
else
    echo "SKIP harness: crashes ($run is not built)"
fi
check 'versions of cmocka' versions_of_cmocka
check 'output that breaks off' cut_off
check 'stages, times and what failed' stages
for awk in awk mawk gawk original-awk 'busybox awk'; do
    check "line by line with $awk" line_by_line "$awk"
done
