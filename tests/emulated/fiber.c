/* Switching is a few instructions; the sanitizers are told of each. This file and block.c are built without ThreadSanitizer's instructions (variant.mk): what they keep is
 * shared by fibers that it takes for threads. */
#include "tests/emulated/fiber.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef FIBERS_THREAD_SANITIZER
#include <sanitizer/tsan_interface.h>
#endif

#ifndef __x86_64__
#error "fibers are written for x86-64 only"
#endif

enum { STACK = 256 << 10, GUARD = 4 << 10 }; /* touched pages alone cost memory */

struct fiber {
    void *stack_pointer, *thread_pointer; /* where it left; where the thread entered it */
    char *memory;                         /* a guard page, then the stack */
    void (*run)(struct fiber *fiber);
    struct fiber *next;                   /* of the spares */
    void *fake, *thread_fake;             /* AddressSanitizer's stacks beside */
    const void *thread_stack;
    size_t thread_bytes;
    void *sanitizer, *thread_sanitizer;   /* ThreadSanitizer's threads */
};

/* Kept for the process's life: ThreadSanitizer takes long to make one. No lock that it would take for an order. */
static struct fiber *spares;
static atomic_flag spares_taken = ATOMIC_FLAG_INIT;

/* Saves what a function must preserve and the stack pointer, takes the other stack and what was saved there. */
void emulated_switch(void **from, void *to);
__asm__(".text\n"
        ".globl emulated_switch\n"
        ".type emulated_switch, @function\n"
        "emulated_switch:\n"
        "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n    pushq %r13\n    pushq %r14\n    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n    popq %r14\n    popq %r13\n    popq %r12\n    popq %rbx\n    popq %rbp\n"
        "    ret\n"
        ".size emulated_switch, .-emulated_switch\n");

static _Thread_local struct fiber *entering;

static void arrived(struct fiber *fiber)
{
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(fiber->fake, &fiber->thread_stack, &fiber->thread_bytes);
#else
    (void)fiber;
#endif
}

static void begin(void)
{
    struct fiber *fiber = entering;
    arrived(fiber);
    fiber->run(fiber);
    abort();
}

static struct fiber *make(void)
{
    struct fiber *fiber = calloc(1, sizeof *fiber);
    if (!fiber)
        abort();
    fiber->memory = mmap(NULL, GUARD + STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (fiber->memory == MAP_FAILED || mprotect(fiber->memory, GUARD, PROT_NONE))
        abort();
#ifdef FIBERS_THREAD_SANITIZER
    fiber->sanitizer = __tsan_create_fiber(0);
#endif
    return fiber;
}

static struct fiber *take_spare(void)
{
    while (atomic_flag_test_and_set(&spares_taken))
        ;
    struct fiber *fiber = spares;
    if (fiber)
        spares = fiber->next;
    atomic_flag_clear(&spares_taken);
    return fiber;
}

static void keep_spare(struct fiber *fiber)
{
    while (atomic_flag_test_and_set(&spares_taken))
        ;
    fiber->next = spares;
    spares = fiber;
    atomic_flag_clear(&spares_taken);
}

struct fiber *fiber_new(void (*run)(struct fiber *fiber))
{
    struct fiber *fiber = take_spare();
    if (!fiber)
        fiber = make();
    fiber->run = run;
    fiber->fake = NULL;
    /* from the top: no return address, begin's address for the first switch's ret, six registers */
    void **top = (void **)(fiber->memory + GUARD + STACK);
    top[-2] = (void *)(uintptr_t)begin;
    fiber->stack_pointer = top - 8;
    return fiber;
}

void fiber_free(struct fiber *fiber, bool idle)
{
#ifdef __SANITIZE_ADDRESS__
    ASAN_UNPOISON_MEMORY_REGION(fiber->memory + GUARD, STACK);
#endif
    if (idle) {
        keep_spare(fiber);
        return;
    }
#ifdef FIBERS_THREAD_SANITIZER
    __tsan_destroy_fiber(fiber->sanitizer);
#endif
    munmap(fiber->memory, GUARD + STACK);
    free(fiber);
}

void fiber_enter(struct fiber *fiber)
{
    entering = fiber;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&fiber->thread_fake, fiber->memory + GUARD, STACK);
#endif
#ifdef FIBERS_THREAD_SANITIZER
    fiber->thread_sanitizer = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(fiber->sanitizer, __tsan_switch_to_fiber_no_sync);
#endif
    emulated_switch(&fiber->thread_pointer, fiber->stack_pointer);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(fiber->thread_fake, NULL, NULL);
#endif
}

void fiber_leave(struct fiber *fiber)
{
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&fiber->fake, fiber->thread_stack, fiber->thread_bytes);
#endif
#ifdef FIBERS_THREAD_SANITIZER
    __tsan_switch_to_fiber(fiber->thread_sanitizer, __tsan_switch_to_fiber_no_sync);
#endif
    emulated_switch(&fiber->stack_pointer, fiber->thread_pointer);
    arrived(fiber);
}

void fiber_release(void *order)
{
#ifdef FIBERS_THREAD_SANITIZER
    __tsan_release(order);
#else
    (void)order;
#endif
}

void fiber_acquire(void *order)
{
#ifdef FIBERS_THREAD_SANITIZER
    __tsan_acquire(order);
#else
    (void)order;
#endif
}

void fiber_guard(void *base, size_t bytes, size_t used)
{
#ifdef __SANITIZE_ADDRESS__
    size_t whole = (used + 7) / 8 * 8;
    ASAN_UNPOISON_MEMORY_REGION(base, bytes);
    if (whole < bytes)
        ASAN_POISON_MEMORY_REGION((char *)base + whole, bytes - whole);
#else
    (void)base, (void)bytes, (void)used;
#endif
}
