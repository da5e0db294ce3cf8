# onestep. Targets:
#   all    build/release/onestep (the default)
#   run    install what is missing, find or fetch MNIST, train LeNet with OD-SGD on all cores, print a table
#   test   everything that can run here, under the sanitizers too; the last line counts
#   test-long  the same, and what takes minutes and seldom finds anything
#   asan, tsan  the tests under one sanitizer
#   fuzz   every parser under libFuzzer, FUZZ_SECONDS each        bench  the tables of docs/performance.md
#   lint   warnings as errors, the rooms' include rules, docs/config.md up to date
#   peers  PyTorch in .venv, for bench     docs   writes docs/config.md     clean, help
# Variables: ONEDNN=0 leaves oneDNN out, ONEDNN=1 insists on it; the same for CUDA, and for NCCL in it. cuda/find says where they are looked for: CUDA_HOME, CUDNN_ROOT,
#   NCCL_ROOT; CUDA_ARCH="80 90". DEPS=FOLDER: Debian packages that were unpacked there (sh .ci/deps FOLDER). VARIANT=release|asan|tsan|fuzz|emulated|emulated-asan|emulated-tsan; B: the folder built in; CC, CFLAGS
#   (-O3 -g). The kernels choose between instruction sets when the program starts (docs/design.md): -march=native gains nothing.

.DEFAULT_GOAL := all
comma := ,
VARIANT ?= release
B := build/$(VARIANT)

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wno-psabi -Werror=implicit-function-declaration $(if $(CI),-Werror)
CFLAGS ?= -O3 -g
ALL_CFLAGS = -std=c11 $(CFLAGS) -fno-math-errno -ffp-contract=off $(WARNINGS) -D_GNU_SOURCE -I. -MMD -MP $(VARIANT_$(VARIANT)) $(DEFINES) $(DEPS_CFLAGS)
VARIANT_asan := -O1 -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined
VARIANT_tsan := -O1 -fsanitize=thread
VARIANT_fuzz := -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined

# The CPU's kernels are compiled once for each instruction set (cpu/isa.h), everything else for the compiler's baseline.
ISAS := $(if $(filter x86_64-%,$(shell $(CC) $(CFLAGS) -dumpmachine)),v4 v3) base
ISA_v4 := -march=x86-64-v4
ISA_v3 := -march=x86-64-v3
KERNELS := $(wildcard cpu/lanes*.c) cpu/flat.c
OBJCOPY := $(or $(OBJCOPY),$(shell $(CC) -print-prog-name=objcopy))

ifdef DEPS
DEPS_MACHINE := $(shell $(CC) -print-multiarch)
DEPS_CFLAGS := -isystem $(DEPS)/usr/include -isystem $(DEPS)/usr/include/$(DEPS_MACHINE)
DEPS_LIBS := -Wl,--disable-new-dtags $(foreach flag,-L -Wl$(comma)-rpath$(comma) -Wl$(comma)-rpath-link$(comma),$(flag)$(abspath $(DEPS))/usr/lib/$(DEPS_MACHINE))
endif

# Debian 12 has oneDNN 2, Debian 13 and Ubuntu 24.04 have 3: cpu/dnnl_version.c. A worker holds it to one thread through OpenMP: runtime 2; 1 has no threads.
ONEDNN_FOUND := $(shell printf '\043include <oneapi/dnnl/dnnl_version.h>\n\043include <oneapi/dnnl/dnnl_config.h>\n%s\n' \
    'DNNL_VERSION_MAJOR DNNL_VERSION_MINOR DNNL_VERSION_PATCH DNNL_CPU_RUNTIME' | $(CC) $(DEPS_CFLAGS) -E -P -x c - 2> /dev/null | tail -n 1)
ONEDNN_VERSION := $(subst $() ,.,$(wordlist 1,3,$(ONEDNN_FOUND)))
ONEDNN_WHY := $(if $(filter-out DNNL_%,$(word 1,$(ONEDNN_FOUND))),$(if $(filter 2.% 3.%,$(ONEDNN_VERSION)),$(if \
    $(filter 1u 2u,$(word 4,$(ONEDNN_FOUND))),,$(ONEDNN_VERSION) is there but is not built on OpenMP),$(ONEDNN_VERSION) is there but only 2 and 3 are known),its headers are not there)
HAS_ONEDNN := $(if $(ONEDNN_WHY),0,1)
ONEDNN ?= $(HAS_ONEDNN)
ifeq ($(ONEDNN)$(HAS_ONEDNN),10)
$(error ONEDNN=1 asks for oneDNN 2 or 3: $(ONEDNN_WHY). sh .ci/needs run installs it)
endif

ifneq ($(filter asan tsan fuzz,$(VARIANT)),)
override CUDA := 0
endif
ifneq ($(CUDA),0)
include $(shell CUDA_HOME='$(CUDA_HOME)' CUDNN_ROOT='$(CUDNN_ROOT)' NCCL_ROOT='$(NCCL_ROOT)' CUDA_ARCH='$(CUDA_ARCH)' sh cuda/find $(B)/cuda.mk)
CUDA ?= $(HAS_CUDA)
NCCL ?= $(HAS_NCCL)
endif
ifeq ($(CUDA)$(HAS_CUDA),10)
$(error CUDA=1: $(CUDA_WHY))
endif
ifeq ($(CUDA)$(NCCL)$(HAS_NCCL),110)
$(error NCCL=1: $(NCCL_WHY))
endif
CUDA_DEFINES := -DHAVE_CUDA $(if $(filter 1,$(NCCL)),-DHAVE_NCCL)
# Flat passes give the same bits as on the CPU: a multiplication and an addition are contracted only where a kernel asks for it by fmaf.
NVCCFLAGS = -O3 --std=c++17 -fmad=false -lineinfo -t 0 -I. $(CUDA_CODE) -Xcompiler -Wall,-Wextra $(if $(CI),-Werror all-warnings) -MMD -MP

COMPILE_KERNELS = $(NVCC) $(NVCCFLAGS)
ifneq ($(filter emulated%,$(VARIANT)),)
include tests/emulated/variant.mk
endif

VERSION := $(shell cat VERSION)
DEFINES := -DONESTEP_VERSION='"$(VERSION)"' $(if $(filter 1,$(ONEDNN)),-DHAVE_ONEDNN=$(word 1,$(ONEDNN_FOUND))) $(if $(filter 1,$(CUDA)),$(CUDA_DEFINES) $(CUDA_INCLUDES))
LIBS := $(DEPS_LIBS) $(if $(filter 1,$(CUDA)),-Wl$(comma)--as-needed $(CUDA_LIBS) $(if $(filter 1,$(NCCL)),$(NCCL_LIBS)) -Wl$(comma)--no-as-needed) $(if $(filter 1,$(ONEDNN)),-ldnnl -lgomp) -linih -lcjson -lhwloc -lpng -lturbojpeg -lz -lm -lpthread

ROOMS := base data nets cpu $(if $(filter 1,$(CUDA)),cuda) trainer
LEFT_OUT := $(KERNELS) $(if $(filter 1,$(ONEDNN)),,$(wildcard cpu/dnnl*.c)) $(if $(filter 1,$(NCCL)),,cuda/nccl.c) $(LEFT_TO_EMULATION) trainer/main.c
LIBRARY := $(patsubst %.c,$(B)/%.o,$(filter-out $(LEFT_OUT),$(wildcard $(addsuffix /*.c,$(ROOMS))))) $(ISAS:%=$(B)/cpu/%.o) $(if $(filter 1,$(CUDA)),$(patsubst %,$(B)/%.o,$(wildcard cuda/*.cu))) $(EMULATED)
TESTS := $(patsubst %.c,$(B)/%.o,$(filter-out $(wildcard tests/fuzz_*.c),$(wildcard tests/*.c)))
FUZZERS := $(patsubst tests/fuzz_%.c,%,$(wildcard tests/fuzz_*.c))
FUZZED := $(filter $(addprefix $(B)/,base/% data/% nets/% trainer/config% trainer/interval% trainer/weights%),$(LIBRARY))
BENCHES := $(patsubst bench/%.c,$(B)/bench/%,$(wildcard bench/*.c))

BUILT_ONEDNN = $(if $(filter 1,$(ONEDNN)),oneDNN $(ONEDNN_VERSION),without oneDNN ($(or $(ONEDNN_WHY),ONEDNN=$(ONEDNN))))
BUILT_NCCL = $(if $(filter 1,$(NCCL)),$(NCCL_SAYS),no NCCL$(if $(NCCL_WHY), ($(NCCL_WHY))))
BUILT_CUDA = $(if $(filter 1,$(CUDA)),$(CUDA_SAYS)$(comma) $(BUILT_NCCL),without CUDA$(if $(CUDA_WHY), ($(CUDA_WHY))))

all: $(B)/onestep

$(B)/onestep: $(B)/trainer/main.o $(LIBRARY)
	@$(CC) $(ALL_CFLAGS) -o $@ $^ $(LIBS)
	@echo "$@: onestep $(VERSION), $(BUILT_ONEDNN), $(BUILT_CUDA)"

$(B)/tests/run: $(TESTS) $(LIBRARY)
	@$(CC) $(ALL_CFLAGS) -o $@ $^ -lcmocka $(LIBS)

$(B)/bench/%: $(B)/bench/%.o $(LIBRARY)
	@$(CC) $(ALL_CFLAGS) -o $@ $^ $(LIBS)

# What objects are built with besides the compiler's options: another choice of libraries builds them anew.
$(B)/defines: force
	@mkdir -p $(@D) && echo "$(DEFINES) $(CUDA_CODE)" | cmp -s - $@ || echo "$(DEFINES) $(CUDA_CODE)" > $@

# A missing header is one line with its package, not a page of errors. It is looked for once in each folder that is built in.
$(B)/needs-run $(B)/needs-test:
	@mkdir -p $(@D) && CC='$(CC)' CFLAGS='$(CFLAGS)' DEPS='$(DEPS)' sh .ci/needs -n $(@:$(B)/needs-%=%) && touch $@

define COMPILE
@mkdir -p $(@D)
$(if $(V),,@echo "cc $<$(ISA_SAID)" &&) $(CC) $(ALL_CFLAGS) -c -o $@ $<
endef

$(TESTS): | $(B)/needs-test
$(B)/%.o: %.c Makefile $(B)/defines | $(B)/needs-run
	$(COMPILE)

# One object for each instruction set, in which every name but that of the table is local. The table is renamed first:
# one call of objcopy that does both keeps no name at all. Objects of link-time optimization cannot be renamed.
define KERNELS_FOR
$(B)/cpu/$(1)/%.o: ALL_CFLAGS += $(ISA_$(1)) -fno-lto
$(B)/cpu/$(1)/%.o: ISA_SAID := , $(1)
$(B)/cpu/$(1)/%.o: cpu/%.c Makefile $(B)/defines | $(B)/needs-run
	$$(COMPILE)
$(B)/cpu/$(1).o: $(KERNELS:cpu/%.c=$(B)/cpu/$(1)/%.o)
	@$(CC) -r -nostdlib -o $$(@:.o=.linked) $$^
	@$(OBJCOPY) --redefine-sym backend_lanes=backend_lanes_$(1) $$(@:.o=.linked)
	@$(OBJCOPY) --keep-global-symbol=backend_lanes_$(1) $$(@:.o=.linked) $$@
endef
$(foreach isa,$(ISAS),$(eval $(call KERNELS_FOR,$(isa))))

$(B)/%.cu.o: %.cu Makefile $(B)/defines
	@mkdir -p $(@D)
	$(if $(V),,@echo "$(word 1,$(notdir $(COMPILE_KERNELS))) $<" &&) $(COMPILE_KERNELS) $(CUDA_DEFINES) $(CUDA_INCLUDES) -MF $(@:.o=.d) -MT $@ -c -o $@ $<

-include $(wildcard $(patsubst %.o,%.d,$(LIBRARY) $(TESTS) $(B)/trainer/main.o) $(addsuffix .d,$(BENCHES)) $(foreach isa,$(ISAS),$(KERNELS:cpu/%.c=$(B)/cpu/$(isa)/%.d)))

run:
	@echo "make run builds, and trains for five epochs: about two minutes on two cores"
	@sh .ci/needs run
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@said=$$(sh data/fetch-mnist datasets) && data=mnist || data=synthetic; \
	echo "$$said"; \
	build/release/onestep train configs/mnist-lenet.ini --set data.dataset=$$data || exit; \
	[ $$data = mnist ] || printf '%s\n' '' "This run trained on synthetic digits, which the program draws, not on MNIST:" "$$said" "Then run make run again."

test test-long:
	@echo "make $@ takes about $(if $(filter test,$@),20,30) minutes on two cores"
	@sh .ci/needs test
	@sh tests/all $(if $(filter test-long,$@),long)

fuzz:
	@$(MAKE) --no-print-directory VARIANT=fuzz CC=clang ONEDNN=0 $(addprefix build/fuzz/run-,$(FUZZERS)) > build/fuzz.log 2>&1 || { tail -n 20 build/fuzz.log; echo "FAIL fuzz: build"; exit 1; }
	@for name in $(FUZZERS); do \
	    mkdir -p build/fuzz/corpus/$$name; \
	    if ASAN_OPTIONS=allocator_may_return_null=1 build/fuzz/run-$$name -max_total_time=$(or $(FUZZ_SECONDS),60) -timeout=10 -artifact_prefix=build/fuzz/$$name- build/fuzz/corpus/$$name tests/inputs/$$name \
	        > build/fuzz/$$name.log 2>&1; then echo "PASS fuzz: $$name"; else tail -n 20 build/fuzz/$$name.log; echo "FAIL fuzz: $$name"; fi; done

build/fuzz/run-checkpoint: $(filter $(addprefix $(B)/trainer/,checkpoint% snapshot.o algorithm.o),$(LIBRARY))
build/fuzz/run-%: build/fuzz/tests/fuzz_%.o $(FUZZED)
	@$(CC) $(ALL_CFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS)

bench: all $(BENCHES)
	@sh bench/run

peers:
	@sh bench/peers/setup

lint:
	@$(MAKE) --no-print-directory CI=1 VARIANT=release all build/release/tests/run
	@sh tests/rooms.sh
	@build/release/onestep config --markdown | cmp - docs/config.md

docs: all
	build/release/onestep config --markdown > docs/config.md

asan tsan:
	@$(MAKE) --no-print-directory VARIANT=$@ $(if $(filter tsan,$@),ONEDNN=0) build/$@/tests/run && build/$@/tests/run $(if $(filter tsan,$@),ring augment loader algorithms identities service stops resume checkpoint trainer_parts eval)

clean:
	rm -rf build

help:
	@sed -n '2,12s/^# \{0,1\}//p' Makefile

.SECONDARY:
.PHONY: force all run test test-long fuzz bench peers lint docs asan tsan clean help
