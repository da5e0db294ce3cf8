#!/bin/sh
# onestep info on emulated GPUs: which there are, what they exchange, what is said of those that do not reach each other. ONESTEP names a program of VARIANT=emulated.
set -u

# expect NAME GPUS PEERS ARGUMENTS PATTERN...: what info prints, on either stream, has a line for each pattern
expect()
{
    name=$1 said=$(env ONESTEP_EMULATED_GPUS="$2" ${3:+ONESTEP_EMULATED_PEERS="$3"} "$ONESTEP" info $4 2>&1)
    shift 4
    for pattern; do
        printf '%s\n' "$said" | grep -Eq -e "$pattern" || { printf 'FAIL gpus: %s\n    no line like %s in:\n' "$name" "$pattern"; printf '%s\n' "$said" | head -n 16 | sed 's/^/    /'; return; }
    done
    echo "PASS gpus: $name"
}

expect "none" 0 '' '' '^gpu +none: .*no CUDA-capable device' '^cuda +CUDA [0-9.]+, '
expect "three, and the matrix of who reads whom" 3 '' '' '^gpu +cuda:0 .* compute capability ' '^ +cuda:2 .*GiB' '^peers +reads +0 +1 +2$' '^ +cuda:1 +yes +- +yes$'
expect "without peer access, copies go through the host" 2 none --check '^ +cuda:0 +- +no$' '^copies +cuda:0 .*pinned host memory to it [0-9.]+ GB/s' '^ +cuda:0 to cuda:1 .*GB/s, through host memory$'
expect "with it, directly" 2 '' --check '^ +cuda:0 to cuda:1 .*GB/s, directly$' '^ +cuda:1 to cuda:0 .*GB/s, directly$'
expect "peer access that brings other bytes is named" 2 broken --check '^onestep: cuda:1 is offered cuda:0.s memory, but .* pinned host memory$' '^ +cuda:0 to cuda:1 +BAD' '^ +cuda:1 to cuda:0 +BAD'
