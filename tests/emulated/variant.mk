# VARIANT=emulated, emulated-asan, emulated-tsan: CUDA's own headers, this folder in place of its libraries, kernels compiled by g++.
ifneq ($(HAS_CUDA),1)
$(error VARIANT=$(VARIANT) wants CUDA's headers: $(CUDA_WHY))
endif
override CUDA := 1
ifeq ($(VARIANT),emulated-tsan)
override ONEDNN := 0
endif
VARIANT_emulated-asan := $(VARIANT_asan)
VARIANT_emulated-tsan := $(VARIANT_tsan)

CUDA_DEFINES += -DEMULATED_CUDA
CUDA_LIBS := -lstdc++
NCCL_LIBS :=
CUDA_SAYS := emulated CUDA
LEFT_TO_EMULATION := cuda/cublas_late.c
EMULATED := $(patsubst %.c,$(B)/%.o,$(wildcard tests/emulated/*.c)) $(patsubst %,$(B)/%.o,$(wildcard tests/emulated/*.cu))
COMPILE_KERNELS = $(CXX) -x c++ -std=c++17 $(CFLAGS) $(VARIANT_$(VARIANT)) -ffp-contract=off -Wall -Wextra -Wno-unknown-pragmas $(if $(CI),-Werror) -I. -include tests/emulated/shim.h -MMD -MP

ifeq ($(VARIANT),emulated-tsan)
$(B)/tests/emulated/block.o $(B)/tests/emulated/fiber.o: ALL_CFLAGS += -fno-sanitize=thread -DFIBERS_THREAD_SANITIZER
endif

$(B)/tests/emulated/races/run: $(B)/tests/emulated/races/races.o $(EMULATED)
	@$(CC) $(ALL_CFLAGS) -o $@ $^ -lstdc++ -lm -lpthread
