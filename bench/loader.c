/* The loader alone: images a second that one core prepares, read, augmented and put into batches of 128.
 *
 *     loader
 *
 * MNIST and CIFAR-10 are measured where they are found (ONESTEP_DATA, then datasets/), and images of CIFAR-10's shape in memory everywhere. What is
 * counted is processor time, the taker's included, so another program on the machine disturbs little. Batches made by one thread and by three are
 * compared byte by byte first; then all cases are timed in turn. */
#include "base/door.h"
#include "base/error.h"
#include "data/loader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 128, ROUNDS = 5, COMPARED = 40, TIMED = 400, STORED = 10000, PATH_ROOM = 4096 };

/* ---- images in memory ---- */

static int read_stored(const struct dataset *dataset, int64_t index, void *raw, size_t *bytes, int32_t *label, struct error *error)
{
    (void)error;
    memcpy(raw, (const uint8_t *)dataset->state + (size_t)index * dataset->sample_bytes, dataset->sample_bytes);
    *bytes = dataset->sample_bytes;
    *label = (int32_t)(index % 10);
    return 0;
}

static void close_stored(struct dataset *dataset) { door_free(dataset->state); }

static const struct dataset_format stored = { .name = "in memory", .read = read_stored, .close = close_stored };

static int open_stored(struct dataset *dataset, struct error *error)
{
    *dataset = (struct dataset){ .n = STORED, .channels = 3, .height = 32, .width = 32, .classes = 10, .sample_bytes = 3 * 32 * 32 };
    if (door_allocate(&dataset->state, STORED * dataset->sample_bytes, "images", error))
        return -1;
    for (size_t i = 0; i < STORED * dataset->sample_bytes; i++)
        ((uint8_t *)dataset->state)[i] = (uint8_t)(i * 2654435761u >> 13);
    dataset->format = &stored;
    return 0;
}

/* ---- cases ---- */

static const struct recipe { const char *name; struct augment_plan plan; } recipes[] = {
    { "as they are", { .crop_pad = 0 } },
    { "crop", { .crop_pad = 4 } },
    { "crop, flip", { .crop_pad = 4, .flip = true } },
    { "crop, flip, cutout", { .crop_pad = 4, .flip = true, .cutout = 16, .fill = { 125, 123, 114 } } },
};
enum { RECIPES = sizeof recipes / sizeof *recipes, DATASETS = 3 };

struct timed { const struct dataset *dataset; const struct recipe *recipe; double ns[ROUNDS]; };

static struct loader_plan plan_of(const struct timed *timed, int64_t batches, int threads)
{
    return (struct loader_plan){ .dataset = timed->dataset, .batch = BATCH, .workers = 1, .drop_last = true, .shuffle = true, .augment = timed->recipe->plan, .seed = 1,
                                 .end = batches, .threads = threads, .depth = 4 };
}

static int compare_batch(struct loader *one, struct loader *three, int64_t number, size_t bytes, struct error *error)
{
    const struct batch *a, *b;
    if (loader_take(one, number, &a, NULL, error) || loader_take(three, number, &b, NULL, error))
        return -1;
    if (memcmp(a->pixels, b->pixels, bytes) || memcmp(a->labels, b->labels, BATCH * sizeof *a->labels))
        return fail(error, EXIT_INVARIANT, "batch %lld by three threads is not what one makes", (long long)number);
    loader_give_back(one, a);
    loader_give_back(three, b);
    return 0;
}

static int compare(const struct timed *timed, struct error *error)
{
    const struct dataset *d = timed->dataset;
    size_t bytes = BATCH * (size_t)(d->channels * d->height * d->width);
    struct loader_plan plan = plan_of(timed, COMPARED, 1);
    struct loader *one = NULL, *three = NULL;
    int failed = loader_open(&one, &plan, error);
    plan.threads = 3;
    failed = failed || loader_open(&three, &plan, error);
    for (int64_t number = 0; !failed && number < COMPARED; number++)
        failed = compare_batch(one, three, number, bytes, error);
    loader_close(one);
    loader_close(three);
    return failed ? -1 : 0;
}

static double processor_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int time_once(struct timed *timed, int round, struct error *error)
{
    struct loader_plan plan = plan_of(timed, TIMED, 1);
    struct loader *loader;
    if (loader_open(&loader, &plan, error))
        return -1;
    double begin = processor_ns();
    for (int64_t number = 0; number < TIMED; number++) {
        const struct batch *batch;
        if (loader_take(loader, number, &batch, NULL, error))
            break;
        loader_give_back(loader, batch);
    }
    timed->ns[round] = (processor_ns() - begin) / (TIMED * BATCH);
    loader_close(loader);
    return error->code ? -1 : 0;
}

static int ascending(const void *a, const void *b) { return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b); }

static int measure(const struct dataset *datasets, int n, struct error *error)
{
    struct timed cases[DATASETS * RECIPES];
    for (int i = 0; i < n * RECIPES; i++) {
        cases[i] = (struct timed){ .dataset = &datasets[i / RECIPES], .recipe = &recipes[i % RECIPES] };
        if (compare(&cases[i], error))
            return -1;
    }
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < n * RECIPES; i++)
            if (time_once(&cases[i], round, error))
                return -1;
    printf("batches of %d, one thread, median of %d\n%-10s %-20s %12s %16s\n", BATCH, ROUNDS, "", "", "us an image", "images/s a core");
    for (int i = 0; i < n * RECIPES; i++) {
        qsort(cases[i].ns, ROUNDS, sizeof *cases[i].ns, ascending);
        double ns = cases[i].ns[ROUNDS / 2];
        printf("%-10s %-20s %12.2f %16.0f\n", i % RECIPES ? "" : cases[i].dataset->format->name, cases[i].recipe->name, ns / 1000, 1e9 / ns);
    }
    puts("goal: 100,000 images/s a core, so that a core that trains on 1,000 a second spends less than 1 % on them");
    return 0;
}

/* False where it is not to be had. */
static bool open_found(struct dataset *dataset, const char *name)
{
    char path[PATH_ROOM];
    struct error error = { 0 };
    const struct dataset_request request = { .name = name, .path = path };
    if (dataset_find(name, path, sizeof path, &error) == 0 && dataset_open(dataset, &request, &error) == 0)
        return true;
    printf("left out: %s\n", error.text);
    return false;
}

int main(void)
{
    struct dataset datasets[DATASETS];
    struct error error = { 0 };
    int n = 0;
    n += open_found(&datasets[n], "mnist");
    n += open_found(&datasets[n], "cifar10");
    if (open_stored(&datasets[n], &error) == 0)
        measure(datasets, ++n, &error);
    while (n > 0)
        dataset_close(&datasets[--n]);
    if (error.code)
        fprintf(stderr, "%s\n", error.text);
    return error.code;
}
