/* See loader.h. Slot s holds batches s, s + depth, s + 2*depth, ... in turn, and one number says whose turn it is: 2j while batch j may
 * be filled, 2j + 1 while it is there to be taken; giving it back makes it 2(j + depth). So the filler that claimed j, the one taker of
 * j and the filler of j + depth hand the slot on without a lock, and each sleeps on the slot's own gate. */
#include "data/loader.h"

#include "base/door.h"
#include "base/error.h"
#include "base/gate.h"
#include "base/sizes.h"
#include "base/thread.h"
#include "data/order.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>

enum { MOST_THREADS = 256, MOST_BATCH = 65536 };

enum fault { FAULT_NONE, FAULT_BEING_WRITTEN, FAULT_WRITTEN };

struct slot {
    alignas(64) _Atomic int64_t turn;
    struct gate changed; /* the turn, or the loader's stop flag */
    struct batch batch;  /* the filler's while the turn is even, the taker's while it is odd */
};

struct filler {
    struct loader *loader;
    pthread_t thread;
    uint8_t *raw;   /* one sample as it is stored; NULL when that is its pixels */
    uint8_t *image; /* its pixels before augmentation; NULL when there is none */
};

struct loader {
    struct loader_plan plan;
    struct dataset dataset;      /* a copy: what is read for every sample lies beside the rest */
    int64_t batches_per_epoch;
    size_t image_bytes, bytes;
    struct slot *slots;          /* plan.depth of them */
    struct filler *fillers;      /* plan.threads of them */
    int started;
    uint8_t *pixels, *rooms;     /* what the slots' and the fillers' point into */
    int32_t *labels;
    int64_t *index;
    alignas(64) _Atomic int64_t next; /* the batch that the next claim gets */
    _Atomic bool stopped;
    _Atomic int fault;           /* enum fault: who writes `error`, and whether it can be read */
    struct error error;          /* the first filler's that failed */
};

int64_t loader_batches_per_epoch(const struct loader_plan *plan)
{
    int64_t n = plan->dataset->n, batch = plan->batch, workers = plan->workers;
    return plan->drop_last ? workers * (n / (workers * batch)) : (n + batch - 1) / batch;
}

static struct slot *slot_of(struct loader *loader, int64_t number) { return &loader->slots[number % loader->plan.depth]; }

struct turn_wait { struct loader *loader; struct slot *slot; int64_t turn; };

static bool turn_came(struct turn_wait *wait)
{
    /* acquire; pairs with the release in pass_turn: the batch is whole, or its taker has finished with it */
    return atomic_load_explicit(&wait->slot->turn, memory_order_acquire) == wait->turn;
}

static bool is_stopped(struct loader *loader)
{
    /* acquire; pairs with the release in loader_stop: a failed filler's error is there */
    return atomic_load_explicit(&loader->stopped, memory_order_acquire);
}

static bool turn_or_stop(void *context)
{
    struct turn_wait *wait = context;
    return turn_came(wait) || is_stopped(wait->loader);
}

static void pass_turn(struct slot *slot, int64_t turn)
{
    /* release; pairs with the acquire in turn_came */
    atomic_store_explicit(&slot->turn, turn, memory_order_release);
    gate_open(&slot->changed);
}

/* Its pixels, as they are in the dataset. */
static int read_image(struct filler *filler, uint8_t *pixels, int32_t *label, int64_t sample, struct error *error)
{
    struct loader *loader = filler->loader;
    const struct dataset *dataset = &loader->dataset;
    size_t bytes = 0;
    if (dataset->format->read(dataset, sample, filler->raw ? filler->raw : pixels, &bytes, label, error))
        return -1;
    if (dataset->format->decode)
        return dataset->format->decode(dataset, filler->raw, bytes, pixels, error);
    if (bytes != loader->image_bytes)
        return fail(error, EXIT_INPUT, "%s: sample %lld: want %zu bytes of pixels, found %zu", dataset->format->name, (long long)sample,
                    loader->image_bytes, bytes);
    return 0;
}

static int read_sample(struct filler *filler, struct batch *batch, int i, int64_t sample, struct error *error)
{
    struct loader *loader = filler->loader;
    const struct loader_plan *plan = &loader->plan;
    uint8_t *pixels = batch->pixels + (size_t)i * loader->image_bytes;
    batch->index[i] = sample;
    if (!filler->image)
        return read_image(filler, pixels, &batch->labels[i], sample, error);
    if (read_image(filler, filler->image, &batch->labels[i], sample, error))
        return -1;
    struct augmentation drawn = augment_draw(&plan->augment, &loader->dataset, plan->seed, batch->epoch, sample);
    augment_apply(&plan->augment, &drawn, &loader->dataset, filler->image, pixels);
    return 0;
}

static void pad(const struct loader *loader, struct batch *batch, int from)
{
    size_t padding = (size_t)(loader->plan.batch - from);
    memset(batch->pixels + (size_t)from * loader->image_bytes, 0, padding * loader->image_bytes);
    memset(batch->labels + from, 0, padding * sizeof *batch->labels);
    for (int i = from; i < loader->plan.batch; i++)
        batch->index[i] = -1;
}

static int fill(struct filler *filler, struct batch *batch, int64_t number, struct error *error)
{
    struct loader *loader = filler->loader;
    const struct loader_plan *plan = &loader->plan;
    int64_t in_epoch = number % loader->batches_per_epoch, n = loader->dataset.n;
    if (plan->same_for_all)
        in_epoch -= in_epoch % plan->workers;
    int64_t from = in_epoch * plan->batch, left = n - from;
    batch->number = number;
    batch->epoch = number / loader->batches_per_epoch;
    batch->n = left < plan->batch ? (int)left : plan->batch;
    for (int i = 0; i < batch->n && !is_stopped(loader); i++) {
        int64_t sample = plan->shuffle ? order_at(plan->seed, batch->epoch, n, from + i) : from + i;
        if (read_sample(filler, batch, i, sample, error))
            return -1;
    }
    pad(loader, batch, batch->n);
    return 0;
}

static void keep_first_error(struct loader *loader, const struct error *error)
{
    int none = FAULT_NONE;
    if (!atomic_compare_exchange_strong_explicit(&loader->fault, &none, FAULT_BEING_WRITTEN, memory_order_relaxed, memory_order_relaxed))
        return;
    loader->error = *error;
    /* release; pairs with the acquire in loader_take */
    atomic_store_explicit(&loader->fault, FAULT_WRITTEN, memory_order_release);
    loader_stop(loader);
}

static void *run_filler(void *context)
{
    struct filler *filler = context;
    struct loader *loader = filler->loader;
    for (;;) {
        int64_t number = atomic_fetch_add_explicit(&loader->next, 1, memory_order_relaxed);
        if (number >= loader->plan.end)
            return NULL;
        struct turn_wait wait = { loader, slot_of(loader, number), 2 * number };
        gate_wait(&wait.slot->changed, turn_or_stop, &wait, INT64_MAX);
        if (is_stopped(loader))
            return NULL;
        struct error error = { 0 };
        if (fill(filler, &wait.slot->batch, number, &error)) {
            keep_first_error(loader, &error);
            return NULL;
        }
        if (is_stopped(loader)) /* the batch may be half filled */
            return NULL;
        pass_turn(wait.slot, 2 * number + 1);
    }
}

int loader_take(struct loader *loader, int64_t number, const struct batch **batch, int64_t *waited_ns, struct error *error)
{
    ASSERT(number >= loader->plan.first && number < loader->plan.end);
    struct turn_wait wait = { loader, slot_of(loader, number), 2 * number + 1 };
    if (!turn_or_stop(&wait)) {
        int64_t begin = door_now_ns();
        gate_wait(&wait.slot->changed, turn_or_stop, &wait, INT64_MAX);
        if (waited_ns)
            *waited_ns += door_now_ns() - begin;
    }
    if (!is_stopped(loader)) {
        *batch = &wait.slot->batch;
        return 0;
    }
    /* acquire; pairs with the release in keep_first_error */
    if (atomic_load_explicit(&loader->fault, memory_order_acquire) == FAULT_WRITTEN)
        fail(error, loader->error.code, "%s", loader->error.text);
    return -1;
}

void loader_give_back(struct loader *loader, const struct batch *batch)
{
    int64_t number = batch->number;
    struct slot *slot = slot_of(loader, number);
    ASSERT(batch == &slot->batch);
    pass_turn(slot, 2 * (number + loader->plan.depth));
}

void loader_stop(struct loader *loader)
{
    /* release; pairs with the acquire in is_stopped */
    atomic_store_explicit(&loader->stopped, true, memory_order_release);
    for (int s = 0; s < loader->plan.depth; s++)
        gate_open(&loader->slots[s].changed);
}

size_t loader_bytes(const struct loader *loader) { return loader->bytes; }

static int check_plan(const struct loader_plan *plan, struct error *error)
{
    if (plan->batch < 1 || plan->batch > MOST_BATCH)
        return fail(error, EXIT_USAGE, "batch: want 1..%d samples, found %d", MOST_BATCH, plan->batch);
    if (plan->threads < 1 || plan->threads > MOST_THREADS)
        return fail(error, EXIT_USAGE, "loader threads: want 1..%d, found %d", MOST_THREADS, plan->threads);
    if (plan->workers < 1 || plan->depth < 2)
        return fail(error, EXIT_USAGE, "loader: want at least 1 worker and 2 slots, found %d and %d", plan->workers, plan->depth);
    if (loader_batches_per_epoch(plan) == 0)
        return fail(error, EXIT_USAGE, "batch: %d workers of %d samples want %lld samples in the dataset, found %lld", plan->workers, plan->batch,
                    (long long)plan->workers * plan->batch, (long long)plan->dataset->n);
    return augment_check(&plan->augment, plan->dataset, error);
}

/* A filler's rooms for one sample: as it is stored, and before augmentation. */
static size_t raw_room(const struct loader *loader) { return loader->dataset.format->decode ? round_up(loader->dataset.sample_bytes, DOOR_ALIGNMENT) : 0; }
static size_t image_room(const struct loader *loader) { return augment_wanted(&loader->plan.augment) ? round_up(loader->image_bytes, DOOR_ALIGNMENT) : 0; }

/* Slots and fillers by themselves, and the arrays that they point into. */
static int allocate(struct loader *loader, struct error *error)
{
    const struct dataset *dataset = &loader->dataset;
    size_t depth = (size_t)loader->plan.depth, threads = (size_t)loader->plan.threads, samples, pixels, rooms;
    if (!size_product((size_t)dataset->channels * (size_t)dataset->height, (size_t)dataset->width, &loader->image_bytes) ||
        !size_product(depth, (size_t)loader->plan.batch, &samples) || !size_product(samples, loader->image_bytes, &pixels) ||
        !size_product(samples, sizeof *loader->index + sizeof *loader->labels, &loader->bytes) ||
        !size_sum(loader->bytes, pixels, &loader->bytes) || !size_product(threads, raw_room(loader) + image_room(loader), &rooms))
        return fail(error, EXIT_MEMORY, "out of memory: %d batches of %d samples", loader->plan.depth, loader->plan.batch);
    if (door_allocate((void **)&loader->slots, depth * sizeof *loader->slots, "loader slots", error) ||
        door_allocate((void **)&loader->fillers, threads * sizeof *loader->fillers, "loader threads", error) ||
        loader->plan.allocate((void **)&loader->pixels, pixels, "loader batches", error) ||
        loader->plan.allocate((void **)&loader->labels, samples * sizeof *loader->labels, "loader labels", error) ||
        loader->plan.allocate((void **)&loader->index, samples * sizeof *loader->index, "loader indices", error))
        return -1;
    return door_allocate((void **)&loader->rooms, rooms, "loader samples", error);
}

static void prepare(struct loader *loader)
{
    size_t batch = (size_t)loader->plan.batch, raw = raw_room(loader), image = image_room(loader);
    for (int64_t j = loader->plan.first; j < loader->plan.first + loader->plan.depth; j++) {
        struct slot *slot = slot_of(loader, j);
        size_t before = (size_t)(j % loader->plan.depth) * batch;
        slot->batch = (struct batch){ .pixels = loader->pixels + before * loader->image_bytes, .labels = loader->labels + before, .index = loader->index + before };
        atomic_init(&slot->turn, 2 * j);
    }
    for (int i = 0; i < loader->plan.threads; i++) {
        uint8_t *rooms = loader->rooms + (size_t)i * (raw + image);
        loader->fillers[i] = (struct filler){ .loader = loader, .raw = raw ? rooms : NULL, .image = image ? rooms + raw : NULL };
    }
    atomic_init(&loader->next, loader->plan.first);
}

static int open_all(struct loader *loader, struct error *error)
{
    if (allocate(loader, error))
        return -1;
    prepare(loader);
    for (; loader->started < loader->plan.threads; loader->started++) {
        struct filler *filler = &loader->fillers[loader->started];
        if (thread_start(&filler->thread, "loader", run_filler, filler, error))
            return -1;
    }
    return 0;
}

int loader_open(struct loader **loader, const struct loader_plan *plan, struct error *error)
{
    *loader = NULL;
    if (check_plan(plan, error) || door_allocate((void **)loader, sizeof **loader, "loader", error))
        return -1;
    (*loader)->plan = *plan;
    if (!plan->allocate) {
        (*loader)->plan.allocate = door_allocate;
        (*loader)->plan.release = door_free;
    }
    (*loader)->dataset = *plan->dataset;
    (*loader)->batches_per_epoch = loader_batches_per_epoch(plan);
    if (open_all(*loader, error)) {
        loader_close(*loader);
        *loader = NULL;
        return -1;
    }
    return 0;
}

void loader_close(struct loader *loader)
{
    if (!loader)
        return;
    if (loader->slots)
        loader_stop(loader);
    for (int i = 0; i < loader->started; i++)
        thread_join(loader->fillers[i].thread);
    door_free(loader->slots);
    door_free(loader->fillers);
    loader->plan.release(loader->pixels);
    loader->plan.release(loader->labels);
    loader->plan.release(loader->index);
    door_free(loader->rooms);
    door_free(loader);
}
