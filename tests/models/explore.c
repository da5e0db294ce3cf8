/* See explore.h. States are plain values, copied for each step and remembered by a 128-bit hash, so interleavings that meet are followed
 * once. A thread within an operation is its private memory at the operation's start and the log of what its steps returned: to take one
 * more step it runs again on the log, so no stacks need to be kept. */
#include "tests/models/explore.h"

#include <setjmp.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOG = 24, DEPTH = 400, LINE = 64 };

struct view { uint8_t seen[MODEL_ATOMICS], clock[MODEL_THREADS]; };
struct write { uint32_t value; struct view view; };
struct atomic { uint32_t n; struct write write[MODEL_WRITES]; };
struct cell { unsigned char value[MODEL_CELL_BYTES]; uint8_t writer, written, read[MODEL_THREADS]; };

struct thread {
    unsigned char local[MODEL_LOCAL_BYTES];
    uint32_t log[LOG], n_log;
    uint8_t done, asleep;
    struct view view;
};

/* Unused parts and padding stay zero: the hash takes all of it. */
struct state { alignas(8) struct thread thread[MODEL_THREADS]; struct atomic atomic[MODEL_ATOMICS]; struct cell cell[MODEL_CELLS]; };
_Static_assert(sizeof(struct state) % 8 == 0, "hashed by words");

struct hash { uint64_t high, low; };
struct edge { uint32_t from, to; };

/* The one search; the code under test calls in without a context. */
static struct {
    const struct model_program *program;
    struct model_result *result;
    struct hash *known;  /* open addressing; zero is free */
    uint32_t *number;    /* of the state there */
    size_t room;
    bool *finishes;      /* by state number */
    struct edge *edges;
    size_t edge_room;
    char trace[DEPTH][LINE];

    /* the step being taken */
    struct state *state;
    int self, depth, choice, choices;
    uint32_t position; /* in the log */
    bool spent;
    jmp_buf pause;
    alignas(64) unsigned char local[MODEL_LOCAL_BYTES];
} search;

static void *grown(void *block, size_t bytes)
{
    block = realloc(block, bytes);
    if (!block) {
        fputs("explore: out of memory\n", stderr);
        exit(2);
    }
    return block;
}

/* ---- one step of one thread ---- */

static void stop(const char *fault)
{
    snprintf(search.result->fault, sizeof search.result->fault, "%s", fault);
    longjmp(search.pause, 1);
}

void model_check(bool condition, const char *fault)
{
    if (!condition)
        stop(fault);
}

/* True when this access is in the log already. Otherwise it is the step to take, or, when that is taken, where the thread pauses. */
static bool replayed(uint32_t *value)
{
    struct thread *self = &search.state->thread[search.self];
    if (search.position < self->n_log) {
        *value = self->log[search.position++];
        return true;
    }
    if (search.spent)
        longjmp(search.pause, 1);
    search.spent = true;
    model_check(self->n_log < LOG, "an operation of too many steps: raise LOG");
    return false;
}

static uint32_t log_value(uint32_t value)
{
    struct thread *self = &search.state->thread[search.self];
    self->log[self->n_log++] = value;
    search.position++;
    return value;
}

static const char *order_name(memory_order order)
{
    return order == memory_order_relaxed ? "relaxed" : order == memory_order_acquire ? "acquire" : order == memory_order_release ? "release" : "acq_rel";
}

static bool acquires(memory_order order) { return order != memory_order_relaxed && order != memory_order_release; }
static bool releases(memory_order order) { return order != memory_order_relaxed && order != memory_order_acquire; }

static void note(const char *what, const char *name, uint32_t value, const char *order)
{
    snprintf(search.trace[search.depth], LINE, "thread %d: %s %s %u %s", search.self, what, name, value, order);
}

static int atomic_number(const volatile void *object)
{
    size_t offset = (size_t)((const volatile unsigned char *)object - search.local);
    for (int a = 0; a < search.program->n_atomics; a++)
        if (search.program->atomics[a].offset == offset)
            return a;
    stop("an atomic that the program does not list");
    return -1;
}

static void join(struct view *view, const struct view *other)
{
    for (int a = 0; a < MODEL_ATOMICS; a++)
        if (view->seen[a] < other->seen[a])
            view->seen[a] = other->seen[a];
    for (int t = 0; t < MODEL_THREADS; t++)
        if (view->clock[t] < other->clock[t])
            view->clock[t] = other->clock[t];
}

static struct write *append(int number, uint32_t value, memory_order order)
{
    struct atomic *atomic = &search.state->atomic[number];
    struct view *view = &search.state->thread[search.self].view;
    model_check(atomic->n < MODEL_WRITES, "an atomic with too many writes: raise MODEL_WRITES");
    view->seen[number] = (uint8_t)atomic->n;
    struct write *write = &atomic->write[atomic->n++];
    write->value = value;
    write->view.seen[number] = view->seen[number];
    if (releases(order))
        write->view = *view;
    return write;
}

uint32_t model_load(const volatile void *object, memory_order order)
{
    uint32_t value;
    if (replayed(&value))
        return value;
    int number = atomic_number(object);
    struct atomic *atomic = &search.state->atomic[number];
    struct view *view = &search.state->thread[search.self].view;
    search.choices = (int)atomic->n - view->seen[number];
    const struct write *write = &atomic->write[view->seen[number] + search.choice];
    view->seen[number] = (uint8_t)(view->seen[number] + search.choice);
    if (acquires(order))
        join(view, &write->view);
    note("load", search.program->atomics[number].name, write->value, order_name(order));
    return log_value(write->value);
}

void model_store(volatile void *object, uint32_t value, memory_order order)
{
    uint32_t ignored;
    if (replayed(&ignored))
        return;
    int number = atomic_number(object);
    append(number, value, order);
    note("store", search.program->atomics[number].name, value, order_name(order));
    log_value(value);
}

uint32_t model_change(volatile void *object, char operator, uint32_t operand, memory_order order)
{
    uint32_t old;
    if (replayed(&old))
        return old;
    int number = atomic_number(object);
    struct atomic *atomic = &search.state->atomic[number];
    const struct write *before = &atomic->write[atomic->n - 1];
    old = before->value;
    if (acquires(order))
        join(&search.state->thread[search.self].view, &before->view);
    uint32_t value = operator == '+' ? old + operand : operator == '|' ? old | operand : old & operand;
    join(&append(number, value, order)->view, &before->view);
    note("change", search.program->atomics[number].name, value, order_name(order));
    return log_value(old);
}

long model_futex_wait(volatile void *object, uint32_t value)
{
    uint32_t ignored;
    if (replayed(&ignored))
        return 0;
    const struct atomic *atomic = &search.state->atomic[atomic_number(object)];
    bool sleeps = atomic->write[atomic->n - 1].value == value;
    note(sleeps ? "sleep on" : "do not sleep on", "", value, "");
    log_value(0);
    if (sleeps) {
        search.state->thread[search.self].asleep = true;
        longjmp(search.pause, 1);
    }
    return 0;
}

long model_futex_wake(void)
{
    uint32_t ignored;
    if (replayed(&ignored))
        return 0;
    for (int t = 0; t < MODEL_THREADS; t++)
        search.state->thread[t].asleep = false;
    note("wake all", "", 0, "");
    return (long)log_value(0);
}

static struct cell *cell_of(int cell)
{
    model_check(cell >= 0 && cell < MODEL_CELLS, "a cell that is not there");
    return &search.state->cell[cell];
}

static bool happened_before(int thread, uint8_t clock) { return search.state->thread[search.self].view.clock[thread] >= clock; }

void model_read_cell(int number, void *to)
{
    uint32_t ignored;
    struct cell *cell = cell_of(number);
    if (!replayed(&ignored)) {
        note("read cell", "", (uint32_t)number, "");
        log_value(0);
        model_check(happened_before(cell->writer, cell->written), "data race: a cell is read while it is written");
        cell->read[search.self] = ++search.state->thread[search.self].view.clock[search.self];
    }
    memcpy(to, cell->value, MODEL_CELL_BYTES);
}

void model_write_cell(int number, const void *from)
{
    uint32_t ignored;
    struct cell *cell = cell_of(number);
    if (replayed(&ignored))
        return;
    note("write cell", "", (uint32_t)number, "");
    log_value(0);
    model_check(happened_before(cell->writer, cell->written), "data race: a cell is written twice at once");
    for (int t = 0; t < MODEL_THREADS; t++)
        model_check(happened_before(t, cell->read[t]), "data race: a cell is written while it is read");
    cell->writer = (uint8_t)search.self;
    cell->written = ++search.state->thread[search.self].view.clock[search.self];
    memcpy(cell->value, from, MODEL_CELL_BYTES);
}

/* Lets one thread take one step, with the given choice of what a load returns; search.choices then says how many there were. */
static void step(struct state *state, int thread, int choice)
{
    struct thread *self = &state->thread[thread];
    search.state = state;
    search.self = thread;
    search.choice = choice;
    search.choices = 1;
    search.position = 0;
    search.spent = false;
    snprintf(search.trace[search.depth], LINE, "thread %d: goes on", thread);
    memcpy(search.local, self->local, MODEL_LOCAL_BYTES);
    if (setjmp(search.pause))
        return;
    bool done = search.program->operation[thread](search.local);
    self = &search.state->thread[search.self];
    self->done = done;
    memcpy(self->local, search.local, MODEL_LOCAL_BYTES);
    memset(self->log, 0, sizeof self->log);
    self->n_log = 0;
}

/* ---- the search ---- */

static struct hash hash_of(const struct state *state)
{
    struct hash hash = { 0x9E3779B97F4A7C15u, 0xC2B2AE3D27D4EB4Fu };
    const unsigned char *bytes = (const unsigned char *)state;
    for (size_t i = 0; i < sizeof *state; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, 8);
        hash.high = (hash.high ^ word) * 0xFF51AFD7ED558CCDu;
        hash.high ^= hash.high >> 32;
        hash.low = (hash.low + word) * 0xC4CEB9FE1A85EC53u;
        hash.low ^= hash.low >> 29;
    }
    hash.low |= hash.low == 0 && hash.high == 0;
    return hash;
}

static size_t place_of(struct hash hash)
{
    size_t place = hash.low & (search.room - 1);
    while ((search.known[place].low || search.known[place].high) && (search.known[place].low != hash.low || search.known[place].high != hash.high))
        place = (place + 1) & (search.room - 1);
    return place;
}

static void make_room(void)
{
    if ((size_t)search.result->states * 2 < search.room)
        return;
    struct hash *known = search.known;
    uint32_t *number = search.number;
    size_t room = search.room;
    search.room = room ? room * 2 : 4096;
    search.known = grown(NULL, search.room * sizeof *known);
    search.number = grown(NULL, search.room * sizeof *number);
    search.finishes = grown(search.finishes, search.room * sizeof *search.finishes);
    memset(search.known, 0, search.room * sizeof *known);
    for (size_t i = 0; i < room; i++)
        if (known[i].low || known[i].high) {
            size_t place = place_of(known[i]);
            search.known[place] = known[i];
            search.number[place] = number[i];
        }
    free(known);
    free(number);
}

/* The state's number; *fresh when it was not known. */
static uint32_t number_of(const struct state *state, bool *fresh)
{
    make_room();
    struct hash hash = hash_of(state);
    size_t place = place_of(hash);
    *fresh = !search.known[place].low && !search.known[place].high;
    if (*fresh) {
        search.known[place] = hash;
        search.number[place] = (uint32_t)search.result->states++;
    }
    return search.number[place];
}

static void add_edge(uint32_t from, uint32_t to)
{
    if ((size_t)search.result->steps == search.edge_room) {
        search.edge_room = search.edge_room ? 2 * search.edge_room : 4096;
        search.edges = grown(search.edges, search.edge_room * sizeof *search.edges);
    }
    search.edges[search.result->steps++] = (struct edge){ from, to };
}

static bool all_done(const struct state *state)
{
    for (int t = 0; t < search.program->n_threads; t++)
        if (!state->thread[t].done)
            return false;
    return true;
}

static void print_trace(void)
{
    for (int i = 0; i <= search.depth; i++)
        printf("    %s\n", search.trace[i]);
}

static bool faulty(void) { return search.result->fault[0]; }

/* Depth first from a fresh state. */
static void visit(const struct state *state, uint32_t number)
{
    search.finishes[number] = all_done(state);
    bool stuck = !search.finishes[number];
    for (int t = 0; t < search.program->n_threads; t++) {
        if (state->thread[t].done || state->thread[t].asleep)
            continue;
        stuck = false;
        for (int choice = 0, choices = 1; choice < choices; choice++) {
            struct state next;
            memcpy(&next, state, sizeof next);
            step(&next, t, choice);
            choices = search.choices;
            if (faulty()) {
                print_trace();
                return;
            }
            bool fresh;
            uint32_t to = number_of(&next, &fresh);
            add_edge(number, to);
            if (!fresh)
                continue;
            if (++search.depth < DEPTH)
                visit(&next, to);
            else
                snprintf(search.result->fault, sizeof search.result->fault, "an execution of too many steps: raise DEPTH");
            if (faulty())
                return;
            search.depth--;
        }
    }
    if (stuck) {
        search.depth--;
        print_trace();
        snprintf(search.result->fault, sizeof search.result->fault, "all threads that are not done sleep");
    }
}

/* From every state some execution must reach the end. Edges were added from early states to late ones, so few passes suffice. */
static bool every_state_finishes(void)
{
    bool changed = true;
    while (changed) {
        changed = false;
        for (int64_t e = search.result->steps - 1; e >= 0; e--)
            if (search.finishes[search.edges[e].to] && !search.finishes[search.edges[e].from])
                changed = search.finishes[search.edges[e].from] = true;
    }
    for (int64_t i = 0; i < search.result->states; i++)
        if (!search.finishes[i])
            return false;
    return true;
}

void model_explore(const struct model_program *program, struct model_result *result)
{
    struct state first;
    memset(&first, 0, sizeof first);
    memset(result, 0, sizeof *result);
    memset(&search, 0, sizeof search);
    search.program = program;
    search.result = result;
    for (int t = 0; t < program->n_threads; t++)
        memcpy(first.thread[t].local, program->initial, program->bytes);
    for (int a = 0; a < program->n_atomics; a++) {
        first.atomic[a].n = 1;
        memcpy(&first.atomic[a].write[0].value, (const unsigned char *)program->initial + program->atomics[a].offset, sizeof(uint32_t));
    }
    bool fresh;
    visit(&first, number_of(&first, &fresh));
    if (!faulty() && !every_state_finishes())
        snprintf(result->fault, sizeof result->fault, "a state from which the end is out of reach");
    free(search.known);
    free(search.number);
    free(search.finishes);
    free(search.edges);
}
