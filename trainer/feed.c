/* See feed.h. */
#include "trainer/feed.h"

#include <string.h>

static int allocate(struct feed *feed, void **block, size_t each, struct error *error)
{
    return feed->backend->allocate(feed->device, block, (size_t)feed->batch * each, "a worker's batches", error);
}

static int open_place(struct feed *feed, struct feed_place *place, struct error *error)
{
    void *pixels, *labels, *index;
    if (allocate(feed, &pixels, feed->sample_bytes, error))
        return -1;
    place->pixels = pixels;
    if (allocate(feed, &labels, sizeof *place->labels, error))
        return -1;
    place->labels = labels;
    if (allocate(feed, &index, sizeof *place->index, error))
        return -1;
    place->index = index;
    return feed->backend->event_open(&place->in, feed->feeder, error) || feed->backend->event_open(&place->used, feed->device, error) ? -1 : 0;
}

int feed_open(struct feed *feed, const struct backend *backend, struct device *device, struct device *feeder, int batch, struct shape shape, struct error *error)
{
    *feed = (struct feed){ .backend = backend, .device = device, .feeder = feeder, .batch = batch, .sample_bytes = shape_count(shape) };
    return open_place(feed, &feed->places[0], error) || open_place(feed, &feed->places[1], error) ? -1 : 0;
}

void feed_close(struct feed *feed)
{
    for (int turn = 0; turn < 2 && feed->backend; turn++) {
        struct feed_place *place = &feed->places[turn];
        feed->backend->release(feed->device, place->pixels);
        feed->backend->release(feed->device, place->labels);
        feed->backend->release(feed->device, place->index);
        feed->backend->event_close(place->in);
        feed->backend->event_close(place->used);
    }
    memset(feed, 0, sizeof *feed);
}

static int give_back(struct feed *feed, struct feed_place *place, struct error *error)
{
    if (!place->lent)
        return 0;
    int failed = feed->backend->finish(place->in, error);
    loader_give_back(place->loader, place->lent);
    place->lent = NULL;
    return failed;
}

int feed_settle(struct feed *feed, struct error *error) { return give_back(feed, &feed->places[0], error) || give_back(feed, &feed->places[1], error) ? -1 : 0; }

int feed_take(struct feed *feed, struct loader *loader, int64_t number, int turn, struct error *error)
{
    struct feed_place *place = &feed->places[turn];
    const struct backend *backend = feed->backend;
    const struct batch *batch;
    size_t n = (size_t)feed->batch;
    /* the batch before has been copied since; a loader whose slots are all lent would have nothing to fill */
    if (feed_settle(feed, error) || loader_take(loader, number, &batch, NULL, error))
        return -1;
    backend->wait(feed->feeder, place->used);
    backend->upload(feed->feeder, place->pixels, batch->pixels, n * feed->sample_bytes);
    backend->upload(feed->feeder, place->labels, batch->labels, n * sizeof *place->labels);
    backend->upload(feed->feeder, place->index, batch->index, n * sizeof *place->index);
    backend->record(feed->feeder, place->in);
    backend->wait(feed->device, place->in);
    place->n = batch->n;
    place->epoch = batch->epoch;
    place->lent = batch;
    place->loader = loader;
    return backend->done(place->in) ? give_back(feed, place, error) : 0;
}

void feed_used(struct feed *feed, int turn) { feed->backend->record(feed->device, feed->places[turn].used); }

void feed_step(const struct feed *feed, int turn, struct step *step)
{
    const struct feed_place *place = &feed->places[turn];
    step->turn = turn;
    step->pixels = place->pixels;
    step->labels = place->labels;
    step->index = place->index;
    step->n = place->n;
    step->epoch = place->epoch;
}
