#!/bin/sh
# Bare systems made with debootstrap, and the README's two commands in each, as a new user runs them. By hand, as root:
#
#     sh tests/fresh.sh                                        # Debian 12 and 13: user, run and test
#     sh tests/fresh.sh --release trixie --command run --mnist FOLDER
#
#   --release NAME     bookworm or trixie, or another that debootstrap can make; may be repeated
#   --command NAME     may be repeated:
#       user   an ordinary user's `make run` stops with the commands to type; then .ci/deps and `make DEPS=.deps run`
#       run    `make run`: the last epoch's accuracy is above 98 %, or the last lines say that the digits were synthetic
#       test   `make test`: its last line counts no failure
#   --mnist FOLDER     the four gzipped files of MNIST, put into datasets/mnist of each clone; else they are downloaded
#   --work FOLDER      where the systems are made and the logs stay; /var/tmp/onestep-fresh otherwise. It takes 4 GB.
#   --mirror ADDRESS   where the packages come from; otherwise the mirror of this machine's apt. Its proxy is used, too.
#   --components LIST  main; Ubuntu needs main,universe
#   --keep             the systems are not removed at the end
#
# What is cloned is HEAD. Prints PASS or FAIL lines, and at last a count with the processor's name; exit 1 if anything failed.
set -u
cd "$(dirname "$0")/.." || exit 1

usage() { sed -n '2,20s/^# \{0,1\}//p' "$0" >&2; exit 2; }

releases='' commands='' mnist='' work=/var/tmp/onestep-fresh mirror='' components=main keep=''
while [ $# -gt 0 ]; do
    case $1 in
        --keep) keep=1; shift; continue ;;
        --release | --command | --mnist | --work | --mirror | --components) [ $# -ge 2 ] || usage ;;
        *) usage ;;
    esac
    case $1 in
        --release) releases="$releases $2" ;;
        --command) case $2 in user | run | test) commands="$commands $2" ;; *) usage ;; esac ;;
        --mnist) mnist=$2 ;;
        --work) work=$2 ;;
        --mirror) mirror=$2 ;;
        --components) components=$2 ;;
    esac
    shift 2
done
releases=${releases:-bookworm trixie} commands=${commands:-user run test}

[ "$(id -u)" = 0 ] || { echo 'tests/fresh.sh makes systems: only root can' >&2; exit 2; }
for program in debootstrap unshare chroot git; do
    command -v $program > /dev/null || { echo "tests/fresh.sh needs $program" >&2; exit 2; }
done
[ -z "$mnist" ] || [ -f "$mnist/train-images-idx3-ubyte.gz" ] || { echo "$mnist has no train-images-idx3-ubyte.gz" >&2; exit 2; }
mkdir -p "$work" || exit 2
[ -n "$mirror" ] || mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 2> /dev/null |
    sed -n 's/^Debian //p' | head -n 1)

passed=0 failed=0
verdict() # PASS|FAIL NAME [LOG]
{
    echo "$1 fresh: $2"
    if [ "$1" = PASS ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        [ $# -lt 3 ] || { tail -n 12 "$3" | sed 's/^/    /'; echo "    all of it: $3"; }
    fi
}

# make_system RELEASE: a bare one in $root with what the README asks for. gcc brings no C library's headers here, since
# debootstrap installs nothing that is only recommended.
make_system()
{
    script=
    [ -e "/usr/share/debootstrap/scripts/$1" ] || script=gutsy # Ubuntu's releases all have this one
    # shellcheck disable=SC2086 # without a mirror debootstrap has one
    debootstrap --variant=minbase --components="$components" --include=git,make,gcc "$1" "$root" $mirror $script \
        > "$work/$1-debootstrap.log" 2>&1 || return 1
    # How this machine reaches its mirror.
    apt-config dump | grep -E '^Acquire::(http|https|ftp|Retries|Check-Valid-Until|Check-Date)\b' > "$root/etc/apt/apt.conf.d/90host"
    git bundle create "$root/tmp/onestep.bundle" HEAD > /dev/null 2>&1 || return 1
    echo 'user:x:1000:1000::/home/user:/bin/sh' >> "$root/etc/passwd"
    mkdir -p "$root/home/user"
    chown 1000:1000 "$root/home/user"
}

# inside USER COMMAND: in $root, with its own view of processes and mounts, and without this machine's environment.
inside()
{
    # shellcheck disable=SC2016 # expanded inside
    unshare --mount --pid --fork --kill-child sh -c '
        mount --make-rprivate / && mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" &&
            mount --rbind -o ro /sys "$1/sys" || exit 125
        [ "$2" = root ] && home=/root user=0:0 || home=/home/user user=1000:1000
        exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=$home ${4:+"http_proxy=$4"} \
            ${5:+"https_proxy=$5"} chroot --userspec=$user --groups= "$1" sh -c "cd && $3"
    ' fresh "$root" "$1" "$2" "${http_proxy-}" "${https_proxy-}"
}

# take USER: a clone in their home.
take()
{
    inside "$1" 'rm -rf onestep && git -c init.defaultBranch=main -c advice.detachedHead=false clone -q /tmp/onestep.bundle onestep' ||
        return 1
    [ "$1" = root ] && clone=$root/root/onestep || clone=$root/home/user/onestep
    [ -n "$mnist" ] || return 0
    mkdir -p "$clone/datasets/mnist"
    cp "$mnist"/*.gz "$clone/datasets/mnist"
    chown -R --reference="$clone" "$clone/datasets"
}

# trained LOG: sets `result` to the accuracy of the last epoch of five, which must be above 98 %, or to what was said of the data.
trained()
{
    if tail -n 8 "$1" | grep -q '^This run trained on synthetic digits'; then
        result='on synthetic digits'
        tail -n 8 "$1" | grep -q 'by hand: put'
        return
    fi
    result=$(awk '$5 == "%" && $8 == "%" { epoch = $1; accuracy = $7 } END { print epoch, accuracy }' "$1")
    [ "${result% *}" = 5 ] && awk "BEGIN { exit !(${result#* } > 98) }" && result="MNIST, ${result#* } %"
}

# timed USER COMMAND LOG: its exit status; sets `seconds`.
timed()
{
    from=$(date +%s)
    inside "$1" "cd onestep && $2" > "$3" 2>&1 < /dev/null
    status=$?
    seconds=$(($(date +%s) - from))
    return $status
}

command_user()
{
    log=$work/$release-user-stops.log
    take user || { verdict FAIL "$release: a user's clone"; return; }
    timed user 'make run' "$log"
    if [ $status -ne 0 ] && grep -q '^    .*apt-get update' "$log" && grep -q '^    .*apt-get install .*libinih-dev' "$log" &&
        ! grep -q 'error:' "$log"; then
        verdict PASS "$release: a user who cannot install gets the commands, and make stops"
    else
        verdict FAIL "$release: a user who cannot install gets the commands, and make stops" "$log"
    fi
    log=$work/$release-user-make.log
    timed user make "$log"
    if [ $status -ne 0 ] && grep -q 'libinih-dev.*run: sh .ci/needs run$' "$log" && ! grep -q 'error:' "$log"; then
        verdict PASS "$release: make without headers is one line"
    else
        verdict FAIL "$release: make without headers is one line" "$log"
    fi
    log=$work/$release-user.log
    name="$release: without root, with .ci/deps"
    inside root 'apt-get update && apt-get install -y --no-install-recommends libc6-dev' > "$log" 2>&1 ||
        { verdict FAIL "$name" "$log"; return; }
    timed user 'sh .ci/deps .deps && make DEPS=.deps run' "$log" && trained "$log" &&
        verdict PASS "$name ($result; $seconds s)" || verdict FAIL "$name" "$log"
}

command_run()
{
    log=$work/$release-run.log
    timed root 'make run' "$log" && trained "$log" && verdict PASS "$release: make run ($result; $seconds s)" ||
        verdict FAIL "$release: make run" "$log"
}

command_test()
{
    log=$work/$release-test.log
    timed root 'make test' "$log"
    last=$(tail -n 1 "$log")
    if [ $status -eq 0 ] && echo "$last" | grep -qE '^[0-9]+ passed, 0 failed, [0-9]+ skipped$'; then
        verdict PASS "$release: make test ($last; $seconds s)"
    else
        verdict FAIL "$release: make test ($last; $seconds s)" "$log"
        grep -A 8 '^FAIL' "$log" | head -n 60 | sed 's/^/    /'
    fi
}

[ -z "$(git status --porcelain --untracked-files=no)" ] || echo 'only what is committed is tried' >&2
for release in $releases; do
    root=$work/$release
    rm -rf "$root"
    make_system "$release" || { verdict FAIL "$release: a bare system" "$work/$release-debootstrap.log"; continue; }
    for command in user run test; do
        case " $commands " in *" $command "*) ;; *) continue ;; esac
        [ $command = user ] || [ -d "$root/root/onestep" ] || take root || { verdict FAIL "$release: a clone"; break; }
        command_$command
    done
    [ -n "$keep" ] || rm -rf "$root"
done

echo "$passed passed, $failed failed, on $(nproc) cores of $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)" \
    "($(grep -m 1 '^flags' /proc/cpuinfo | tr ' ' '\n' | grep -xE 'avx2|fma|avx512f' | paste -s -d ' ')), Linux $(uname -r)"
[ $failed -eq 0 ]
