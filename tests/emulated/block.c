/* Runs a grid, one block after another, on the calling thread. The threads of a block are fibers: each runs until it ends or meets others, at a barrier or within a warp.
 * A fiber that ends goes on with the next thread, so a kernel without meetings needs one fiber and no switches. Where no thread can go on and not all have ended, the device has failed.
 *
 * To ThreadSanitizer fibers are threads, and only barriers and __syncwarp order them: shared memory that is used without one is a race. */
#include "tests/emulated/fiber.h"
#include "tests/emulated/kernel.h"
#include "tests/emulated/runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__thread uint3 threadIdx, blockIdx;
__thread dim3 blockDim, gridDim;

/* `extern __shared__ T dynamic_shared[];` in a kernel. */
_Alignas(128) __thread unsigned char dynamic_shared[EMULATED_SHARED_OPTIN];

enum state { STATE_NEW, STATE_READY, STATE_AT_BARRIER, STATE_IN_WARP, STATE_ENDED };

struct thread {
    enum state state;
    struct fiber *fiber;
    int line;
    unsigned mask, taking_part; /* of a meeting within the warp: asked for, and who has come */
    uint64_t value, met;        /* given to the meeting; what it gave to the others, until their next one */
};

/* The block that this thread runs. */
struct block {
    const struct emulated_grid *grid;
    int n, next; /* threads; the next one to start */
    int self;    /* the one that runs */
    int count;   /* of the last barrier */
    bool stuck;
    char started, ended, barrier; /* what ThreadSanitizer knows the order by */
    struct thread thread[EMULATED_THREADS];
    struct fiber *fibers[EMULATED_THREADS], *free[EMULATED_THREADS];
    int n_fibers, n_free;
};

static __thread struct block *block; /* lives until the thread's fibers are released */

static void enter_thread(int thread)
{
    block->self = thread;
    unsigned number = (unsigned)thread;
    threadIdx = (uint3){ number % blockDim.x, number / blockDim.x % blockDim.y, number / blockDim.x / blockDim.y };
}

/* What a fiber does: threads, as long as there are any to start, then a rest. */
static void run_threads(struct fiber *fiber)
{
    for (;;) {
        fiber_acquire(&block->started);
        while (block->next < block->n) {
            int self = block->next++;
            block->thread[self].fiber = fiber;
            enter_thread(self);
            block->grid->run(block->grid->context);
            block->thread[self].state = STATE_ENDED;
        }
        fiber_release(&block->ended);
        block->free[block->n_free++] = fiber;
        fiber_leave(fiber);
    }
}

/* The running thread waits until the scheduler lets it go on. */
static void meet(enum state state, int line)
{
    struct thread *thread = &block->thread[block->self];
    thread->state = state;
    thread->line = line;
    fiber_leave(thread->fiber);
    if (block->stuck) {
        fiber_release(&block->ended);
        fiber_leave(thread->fiber);
    }
}

int emulated_barrier(int predicate, int line)
{
    block->thread[block->self].value = predicate != 0;
    fiber_release(&block->barrier);
    meet(STATE_AT_BARRIER, line);
    fiber_acquire(&block->barrier);
    return block->count;
}

static void meet_in_warp(unsigned mask, uint64_t value, int line)
{
    struct thread *thread = &block->thread[block->self];
    thread->mask = mask;
    thread->value = value;
    meet(STATE_IN_WARP, line);
}

static int warp_start(void) { return block->self / EMULATED_WARP * EMULATED_WARP; }

void emulated_warp(unsigned mask, int line)
{
    char *order = (char *)&block->thread[warp_start()];
    fiber_release(order);
    meet_in_warp(mask, 0, line);
    fiber_acquire(order);
}

uint64_t emulated_shuffle(unsigned mask, uint64_t value, int source, int line)
{
    meet_in_warp(mask, value, line);
    bool takes_part = block->thread[block->self].taking_part >> source & 1;
    return takes_part ? block->thread[warp_start() + source].met : UINT64_MAX;
}

unsigned emulated_ballot(unsigned mask, int predicate, int line)
{
    meet_in_warp(mask, predicate != 0, line);
    unsigned taking_part = block->thread[block->self].taking_part, result = 0;
    for (int lane = 0; lane < EMULATED_WARP; lane++)
        if (taking_part >> lane & 1 && block->thread[warp_start() + lane].met)
            result |= 1U << lane;
    return result;
}

/* Lets the thread's meeting go on when everybody whom it names and who has not ended is there, and asks for the same. */
static bool release_meeting(int self)
{
    const struct thread *thread = &block->thread[self];
    int start = self / EMULATED_WARP * EMULATED_WARP;
    unsigned come = 0;
    for (int lane = 0; lane < EMULATED_WARP; lane++) {
        if (!(thread->mask >> lane & 1) || start + lane >= block->n || block->thread[start + lane].state == STATE_ENDED)
            continue;
        const struct thread *other = &block->thread[start + lane];
        if (other->state != STATE_IN_WARP || other->mask != thread->mask || other->line != thread->line)
            return false;
        come |= 1U << lane;
    }
    if (!(come >> (self - start) & 1))
        return false;
    for (int lane = 0; lane < EMULATED_WARP; lane++)
        if (come >> lane & 1) {
            struct thread *other = &block->thread[start + lane];
            other->taking_part = come;
            other->met = other->value;
            other->state = STATE_READY;
        }
    return true;
}

/* All threads of the block are at one barrier. */
static bool release_barrier(void)
{
    int count = 0;
    for (int i = 0; i < block->n; i++) {
        if (block->thread[i].state != STATE_AT_BARRIER || block->thread[i].line != block->thread[0].line)
            return false;
        count += (int)block->thread[i].value;
    }
    block->count = count;
    for (int i = 0; i < block->n; i++)
        block->thread[i].state = STATE_READY;
    return true;
}

struct place { char text[64]; };

static struct place place_of(int number)
{
    const struct thread *thread = &block->thread[number];
    struct place place;
    if (thread->state == STATE_ENDED)
        snprintf(place.text, sizeof place.text, "thread %d has ended", number);
    else
        snprintf(place.text, sizeof place.text, "thread %d is in line %d at %s", number, thread->line,
                 thread->state == STATE_AT_BARRIER ? "a barrier" : "a meeting of its warp");
    return place;
}

static void report(void)
{
    int stuck = 0, other = -1;
    while (block->thread[stuck].state == STATE_ENDED)
        stuck++;
    for (int i = 0; i < block->n && other < 0; i++)
        if (block->thread[i].state != block->thread[stuck].state || block->thread[i].line != block->thread[stuck].line)
            other = i;
    if (other >= 0)
        emulated_break(cudaErrorLaunchFailure, "block (%u, %u, %u): %s, %s: they never meet", blockIdx.x, blockIdx.y, blockIdx.z, place_of(stuck).text, place_of(other).text);
    else
        emulated_break(cudaErrorLaunchFailure, "block (%u, %u, %u): %s, whose mask (%#x) others do not share", blockIdx.x, blockIdx.y, blockIdx.z, place_of(stuck).text,
                       block->thread[stuck].mask);
}

static struct fiber *take_fiber(void)
{
    if (block->n_free)
        return block->free[--block->n_free];
    return block->fibers[block->n_fibers++] = fiber_new(run_threads);
}

/* Until every thread waits or has ended. */
static bool start_threads(void)
{
    fiber_release(&block->started);
    while (block->next < block->n)
        fiber_enter(take_fiber());
    for (int i = 0; i < block->n; i++)
        if (block->thread[i].state != STATE_ENDED)
            return true;
    return false;
}

static bool go_on(void)
{
    bool released = false, waiting = false;
    for (int i = 0; i < block->n; i++)
        released = (block->thread[i].state == STATE_IN_WARP && release_meeting(i)) || released;
    if (!released && !release_barrier()) {
        report();
        return false;
    }
    for (int i = 0; i < block->n; i++)
        if (block->thread[i].state == STATE_READY) {
            enter_thread(i);
            fiber_enter(block->thread[i].fiber);
        }
    for (int i = 0; i < block->n; i++)
        waiting = waiting || block->thread[i].state != STATE_ENDED;
    return waiting;
}

/* The fibers of a block that is stuck come to their end where they are. */
static void give_up(void)
{
    block->stuck = true;
    for (int i = 0; i < block->n; i++)
        if (block->thread[i].state != STATE_ENDED)
            fiber_enter(block->thread[i].fiber);
}

/* False: it got stuck. */
static bool run_block(void)
{
    block->next = 0;
    for (int i = 0; i < block->n; i++)
        block->thread[i].state = STATE_NEW;
    memset(dynamic_shared, 0xff, block->grid->shared_bytes);
    bool waiting = start_threads();
    while (waiting)
        waiting = go_on();
    if (block->n_free < block->n_fibers)
        give_up();
    fiber_acquire(&block->ended);
    return !block->stuck;
}

void emulated_fibers_release(void)
{
    for (int i = 0; block && i < block->n_fibers; i++)
        fiber_free(block->fibers[i], block->n_free == block->n_fibers);
    free(block);
    block = NULL;
}

static bool run_blocks(void)
{
    for (unsigned z = 0; z < gridDim.z; z++)
        for (unsigned y = 0; y < gridDim.y; y++)
            for (unsigned x = 0; x < gridDim.x; x++) {
                blockIdx = (uint3){ x, y, z };
                if (!run_block())
                    return false;
            }
    return true;
}

void emulated_grid_run(const struct emulated_grid *grid)
{
    if (!block && !(block = calloc(1, sizeof *block)))
        abort();
    block->grid = grid;
    block->n = (int)(grid->block.x * grid->block.y * grid->block.z);
    gridDim = grid->grid;
    blockDim = grid->block;
    fiber_guard(dynamic_shared, sizeof dynamic_shared, grid->shared_bytes);
    bool ended = run_blocks();
    fiber_guard(dynamic_shared, sizeof dynamic_shared, sizeof dynamic_shared);
    if (!ended)
        emulated_fibers_release();
}
