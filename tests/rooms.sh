#!/bin/sh
# The rooms' include rules (docs/design.md): nothing includes upward or sideways, and only one place outside cuda/ may name CUDA.
cd "$(dirname "$0")/.." || exit 1

# room: the rooms whose headers it may include
rule()
{
    room=$1
    shift
    bad=$(for file in "$room"/*.[ch]; do
        [ -e "$file" ] && sed -n 's/^#include "\([a-z]*\)\/.*/\1/p' "$file" | sort -u | while read -r included; do
            case " $room $* " in *" $included "*) ;; *) echo "    $file includes $included/" ;; esac
        done
    done)
    [ -z "$bad" ] && echo "PASS rooms: $room" || printf 'FAIL rooms: %s\n%s\n' "$room" "$bad"
}

rule base
rule data base
rule nets base
rule cpu base nets
rule trainer base data nets cpu
named=$(grep -lE 'cuda_runtime|cudnn|nccl|cublas' base/*.[ch] data/*.[ch] nets/*.[ch] cpu/*.[ch] trainer/*.[ch] 2> /dev/null)
[ -z "$named" ] && echo "PASS rooms: CUDA is named in cuda/ alone" || printf 'FAIL rooms: CUDA is named in cuda/ alone\n    %s\n' "$named"
