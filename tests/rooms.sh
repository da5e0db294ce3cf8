#!/bin/sh
# The rooms' include rules (docs/design.md): nothing includes upward or sideways, and only two files outside cuda/ may name CUDA: the one that lists the backends, and the one that prints the machine.
cd "$(dirname "$0")/.." || exit 1

# room: the rooms whose headers it may include
rule()
{
    room=$1
    shift
    bad=$(for file in "$room"/*.[ch] "$room"/*.cu "$room"/*.cuh; do
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
rule cuda base nets
rule trainer base data nets cpu cuda
named=$(grep -lE 'cuda_runtime|cudnn|nccl[A-Z_]|cublas|HAVE_CUDA|include "cuda/' base/*.[ch] data/*.[ch] nets/*.[ch] cpu/*.[ch] trainer/*.[ch] 2> /dev/null | grep -vxE 'trainer/(choose|command_info)\.c')
[ -z "$named" ] && echo "PASS rooms: CUDA is named in cuda/ and by trainer/choose.c and trainer/command_info.c" || printf 'FAIL rooms: CUDA is named in cuda/ and by trainer/choose.c and trainer/command_info.c\n    %s\n' "$named"
