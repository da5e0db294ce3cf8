# onestep. Targets:
#   all    build/release/onestep (the default)
#   run    install what is missing, find or fetch MNIST, train LeNet with OD-SGD on all cores, print a table
#   test   everything that can run here; the last line counts
#   asan   the tests under AddressSanitizer and UBSan        tsan   the threads' tests under ThreadSanitizer
#   fuzz   the parsers under libFuzzer, FUZZ_SECONDS each     bench  the tables of docs/performance.md
#   lint   warnings as errors, and the rooms' include rules   clean, help
# Variables: ONEDNN=0 leaves oneDNN out, ONEDNN=1 insists on it; CC; VARIANT=release|asan|tsan.

.DEFAULT_GOAL := all
VARIANT ?= release
B := build/$(VARIANT)

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla $(if $(CI),-Werror)
CFLAGS ?= -O3 -march=native -g
ALL_CFLAGS = -std=c11 $(CFLAGS) -fno-math-errno $(WARNINGS) -D_GNU_SOURCE -I. -MMD -MP $(VARIANT_$(VARIANT)) $(DEFINES)
VARIANT_asan := -O1 -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined
VARIANT_tsan := -O1 -fsanitize=thread

ONEDNN ?= $(shell printf '\#include <oneapi/dnnl/dnnl_version.h>\n\#if DNNL_VERSION_MAJOR != 2\n\#error\n\#endif\n' | $(CC) -E -x c - >/dev/null 2>&1 && echo 1 || echo 0)
DEFINES := -DONESTEP_VERSION='"$(shell cat VERSION)"' $(if $(filter 1,$(ONEDNN)),-DHAVE_ONEDNN)
LIBS := $(if $(filter 1,$(ONEDNN)),-ldnnl -lgomp) -linih -lcjson -lhwloc -lz -lm -lpthread

ROOMS := base data nets cpu trainer
SOURCES := $(filter-out $(if $(filter 1,$(ONEDNN)),,cpu/dnnl%.c),$(foreach room,$(ROOMS),$(wildcard $(room)/*.c)))
PROGRAM_MAIN := trainer/main.c
LIBRARY := $(patsubst %.c,$(B)/%.o,$(filter-out $(PROGRAM_MAIN),$(SOURCES)))
TESTS := $(patsubst %.c,$(B)/%.o,$(wildcard tests/test_*.c) tests/main.c)

all: $(B)/onestep

$(B)/onestep: $(B)/trainer/main.o $(LIBRARY)
	$(CC) $(ALL_CFLAGS) -o $@ $^ $(LIBS)

$(B)/tests/run: $(TESTS) $(LIBRARY)
	$(CC) $(ALL_CFLAGS) -o $@ $^ -lcmocka $(LIBS)

$(B)/%.o: %.c Makefile VERSION
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

-include $(shell find build -name '*.d' 2>/dev/null)

clean:
	rm -rf build

help:
	@sed -n '2,8s/^# \{0,1\}//p' Makefile

.PHONY: all clean help
