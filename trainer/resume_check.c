/* Whether a snapshot is a state that the run can be in. A right checksum says that a file is as it was written, not who wrote it; and what is wrong here would show much later, as
 * workers that wait for each other or batches that never come. */
#include "trainer/run.h"

#include "trainer/server.h"

struct checking { struct run *run; const struct snapshot *start; const char *name; struct error *error; };

static int wrong(const struct checking *checking, const char *rule, int64_t found)
{
    return fail(checking->error, EXIT_INPUT, "%s: want a state that this run can be in: %s, found %lld", checking->name, rule, (long long)found);
}

static bool in_step(const struct run *run) { return run->algorithm->synchronous || run->config.async.order == ORDER_ROUND_ROBIN; }

static int check_sums(const struct checking *checking, const struct sums *sums)
{
    if (sums->samples < 0 || sums->samples >= (int64_t)1 << 53)
        return wrong(checking, "sums over some samples", sums->samples);
    return sums->correct < 0 || sums->correct > sums->samples ? wrong(checking, "at most as many correct as samples", sums->correct) : 0;
}

static int check_numbers(const struct checking *checking)
{
    const struct snapshot *start = checking->start;
    bool synchronous = checking->run->algorithm->synchronous;
    if (start->iteration < 0)
        return wrong(checking, "an iteration", start->iteration);
    if (start->reported != 1 && (start->reported != 0 || !synchronous || !start->iteration))
        return wrong(checking, "an iteration that was reported or is to be", start->reported);
    if (start->evaluate_at < 1)
        return wrong(checking, "an evaluation to come", start->evaluate_at);
    if (start->training_ns < 0 || start->training_ns >= (int64_t)1 << 62)
        return wrong(checking, "some training time", start->training_ns);
    if (start->came < 0 || start->came >= (synchronous ? 1 : checking->run->k))
        return wrong(checking, "fewer steps than workers since the last iteration", start->came);
    return check_sums(checking, &start->epoch) || check_sums(checking, &start->last) ? -1 : 0;
}

/* That run may have been longer than this one. */
static int check_length(const struct checking *checking)
{
    const struct run *run = checking->run;
    const struct snapshot *start = checking->start;
    int64_t batches = run->iterations * run->k;
    if (start->iteration > run->iterations)
        return fail(checking->error, EXIT_USAGE, "%s: is at iteration %lld, want one of this run's %lld; train.epochs and train.iterations make it longer", checking->name,
                    (long long)start->iteration, (long long)run->iterations);
    int64_t begun = start->iteration * run->k + start->came;
    if (!run->algorithm->synchronous && run->config.async.order == ORDER_FREE && start->next_ticket > begun)
        begun = start->next_ticket;
    if (begun > batches)
        return fail(checking->error, EXIT_USAGE, "%s: has begun %lld batches, want at most this run's %lld; train.epochs and train.iterations make it longer", checking->name,
                    (long long)begun, (long long)batches);
    return 0;
}

/* The ticket of the worker's i-th iteration: the only one that an order leaves it, or any that has been drawn. */
static bool ticket_fits(struct run *run, int k, int64_t i, int64_t ticket)
{
    if (run->config.async.order == ORDER_FREE)
        return ticket >= 0 && ticket < run->snapshot->next_ticket;
    return ticket >= 0 && ticket == service_ticket(&run->service, k, i);
}

static int check_worker(const struct checking *checking, int k)
{
    struct run *run = checking->run;
    const struct snapshot *start = checking->start;
    const struct snapshot_worker *part = &start->workers[k];
    int64_t i = part->place[PLACE_ITERATION], ticket = part->place[PLACE_TICKET], before = part->place[PLACE_TICKET_BEFORE];
    if (i < 0 || i > run->iterations * run->k || (in_step(run) && i != start->iteration))
        return wrong(checking, "workers at an iteration of it", i);
    if (run->algorithm->synchronous)
        return 0;
    for (int bucket = 0; bucket < run->buckets.n; bucket++) {
        int64_t flying = part->flying[bucket], version = start->versions[bucket];
        if (flying < -1 || flying > version || (i == 0 && flying >= 0))
            return wrong(checking, "gradients in flight of known versions", flying);
        if (part->sent[bucket] < 0 || part->sent[bucket] > version)
            return wrong(checking, "workers that were sent a known version", part->sent[bucket]);
    }
    if ((ticket != -1 && !ticket_fits(run, k, i, ticket)) || (i > 0 && !ticket_fits(run, k, i - 1, before)))
        return wrong(checking, "tickets that have been drawn", ticket != -1 && !ticket_fits(run, k, i, ticket) ? ticket : before);
    return 0;
}

/* Every push that counts is served or in flight, and those that are served are the first of the order, where there is one. */
static int check_bucket(const struct checking *checking, int bucket)
{
    const struct run *run = checking->run;
    const struct snapshot *start = checking->start;
    int64_t versions = start->versions[bucket], sum = 0, of_worker[WORKERS_MAX];
    if (versions < 0 || versions > run->iterations * run->k)
        return wrong(checking, "versions of a bucket that it can reach", versions);
    bool ordered = service_count(&run->service, bucket, versions, of_worker);
    for (int k = 0; k < run->k; k++) {
        int64_t served = start->workers[k].place[PLACE_ITERATION] - (start->workers[k].flying[bucket] >= 0);
        if (ordered && served != of_worker[k])
            return wrong(checking, "pushes served in this run's order", served);
        sum += served;
    }
    return sum != versions ? wrong(checking, "as many versions of a bucket as pushes served", versions) : 0;
}

/* Every step is counted once, and every ticket is one worker's. */
static int check_steps(const struct checking *checking)
{
    const struct run *run = checking->run;
    const struct snapshot *start = checking->start;
    int64_t steps = 0, kept = 0;
    for (int k = 0; k < run->k; k++) {
        const int64_t *place = start->workers[k].place;
        steps += place[PLACE_ITERATION];
        kept += place[PLACE_TICKET] >= 0;
        for (int other = 0; other < k; other++)
            if (place[PLACE_TICKET] >= 0 && place[PLACE_TICKET] == start->workers[other].place[PLACE_TICKET])
                return wrong(checking, "one worker for each ticket", place[PLACE_TICKET]);
    }
    if (steps != start->iteration * run->k + start->came)
        return wrong(checking, "as many steps as iterations of the workers", start->came);
    for (int i = 0; i < start->came; i++) {
        const struct sums sums = { 0, start->steps[3 * i + 1], start->steps[3 * i + 2] };
        if (check_sums(checking, &sums))
            return -1;
    }
    return run->config.async.order == ORDER_FREE && steps + kept != start->next_ticket ? wrong(checking, "as many tickets drawn as iterations begun", start->next_ticket) : 0;
}

static int check_record(const struct checking *checking)
{
    const struct run *run = checking->run;
    const struct snapshot *start = checking->start;
    int64_t services = 0;
    if (!start->record)
        return 0;
    for (int bucket = 0; bucket < run->buckets.n; bucket++)
        services += start->versions[bucket];
    if (start->n_record != services)
        return wrong(checking, "a record of all pushes served", start->n_record);
    for (int64_t i = 0; i < services; i++)
        if (!service_fits(&run->service, &start->record[2 * i], run->iterations * run->k))
            return wrong(checking, "workers, buckets and tickets of the record in range; not in row", i);
    return 0;
}

static int check_loss_scales(const struct checking *checking)
{
    const struct run *run = checking->run;
    const struct snapshot *start = checking->start;
    const struct loss_scale *scales = (const struct loss_scale *)start->loss_scales;
    for (int k = 0; scales && k < (run->algorithm->synchronous ? 1 : run->k); k++) {
        const struct loss_scale *scale = &scales[k];
        if (scale->judged != start->workers[k].place[PLACE_ITERATION])
            return wrong(checking, "every gradient judged", scale->judged);
        const int64_t exponents[] = { scale->exponent, scale->before, scale->earlier };
        for (int i = 0; i < 3; i++)
            if (exponents[i] < 0 || exponents[i] > LOSS_SCALE_MOST)
                return wrong(checking, "loss scales of 1 to 2^24", exponents[i]);
        if (scale->skipped < 0 || scale->skipped > scale->judged || scale->clean < 0 || scale->clean > scale->judged || scale->stuck < 0 || scale->stuck >= LOSS_SCALE_PATIENCE)
            return wrong(checking, "as many overflows as can be", scale->skipped);
        if (scale->overflowed < 0 || scale->overflowed > 3 || (scale->overflowed & 1) + (scale->overflowed >> 1) > scale->skipped)
            return wrong(checking, "a gradient that has overflowed or not", scale->overflowed);
    }
    return 0;
}

int run_check_resume(struct run *run, const char *name, struct error *error)
{
    const struct checking checking = { run, run->snapshot, name, error };
    if (check_numbers(&checking) || check_length(&checking))
        return -1;
    for (int k = 0; k < run->k; k++)
        if (check_worker(&checking, k))
            return -1;
    if (check_loss_scales(&checking))
        return -1;
    if (run->algorithm->synchronous)
        return 0;
    for (int bucket = 0; bucket < run->buckets.n; bucket++)
        if (check_bucket(&checking, bucket))
            return -1;
    return check_steps(&checking) || check_record(&checking) ? -1 : 0;
}
