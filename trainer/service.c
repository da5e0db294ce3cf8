/* See service.h. The file of a record: 24 bytes of magic, shape and length, then 16 bytes a service, little-endian. */
#include "trainer/service.h"

#include "base/door.h"
#include "base/file.h"

#include <string.h>

struct file_head { char magic[8]; uint32_t k, buckets; int64_t services; };
static const char magic[8] = { 'o', 'n', 'e', 's', 't', 'e', 'p', 'R' };

static int wrong(const char *path, struct error *error, const char *rule, long long got)
{
    return fail(error, EXIT_INPUT, "%s: want a recorded order of this run: %s, found %lld", path, rule, got);
}

/* While a record is read: pushes so far by bucket and by [bucket][worker]; whether a ticket is somebody's, by ticket. */
struct progress_of_record { int64_t *of_bucket, *of_worker; bool *taken; };

/* A worker has one ticket for the same push of every bucket, and no two the same. All buckets having as many pushes as there are tickets, all have the same
 * pushes of each worker. */
static int index_service(struct service *service, int64_t number, const struct progress_of_record *progress, const char *path, struct error *error)
{
    const struct service_record *row = &service->record[number];
    if (row->worker >= (uint32_t)service->k || row->bucket >= (uint32_t)service->buckets || row->ticket < 0 || row->ticket >= service->pushes)
        return wrong(path, error, "workers, buckets and tickets in range; not in record", (long long)number);
    if (progress->of_bucket[row->bucket] == service->pushes)
        return wrong(path, error, "as many pushes for each bucket; too many in record", (long long)number);
    service->queue[row->bucket * service->pushes + progress->of_bucket[row->bucket]++] = row->worker;
    int64_t *i = &progress->of_worker[row->bucket * (size_t)service->k + row->worker];
    int64_t *ticket = &service->tickets[row->worker * service->pushes + (*i)++];
    if (*ticket < 0 && !progress->taken[row->ticket])
        *ticket = row->ticket;
    progress->taken[row->ticket] = true;
    return *ticket == row->ticket ? 0 : wrong(path, error, "one worker for each ticket; another in record", (long long)number);
}

/* The order per bucket, and the tickets per worker. */
static int index_record(struct service *service, const char *path, struct error *error)
{
    void *queue, *tickets, *counts, *taken;
    size_t pushes = (size_t)service->pushes, buckets = (size_t)service->buckets, k = (size_t)service->k;
    if (door_allocate(&queue, buckets * pushes * sizeof(int64_t), "the replayed order", error))
        return -1;
    service->queue = queue;
    if (door_allocate(&tickets, k * pushes * sizeof(int64_t), "the replayed tickets", error))
        return -1;
    service->tickets = memset(tickets, 0xff, k * pushes * sizeof(int64_t));
    if (door_allocate(&counts, buckets * (k + 1) * sizeof(int64_t), "the replayed order", error))
        return -1;
    if (door_allocate(&taken, pushes, "the replayed tickets", error)) {
        door_free(counts);
        return -1;
    }
    const struct progress_of_record progress = { counts, (int64_t *)counts + buckets, taken };
    int result = 0;
    for (int64_t i = 0; i < service->n_record && result == 0; i++)
        result = index_service(service, i, &progress, path, error);
    door_free(counts);
    door_free(taken);
    return result;
}

static int check_head(const struct service *service, const struct file_head *head, size_t bytes, int64_t most, const char *path, struct error *error)
{
    if (bytes < sizeof *head || memcmp(head->magic, magic, sizeof magic) != 0)
        return wrong(path, error, "the magic onestepR; bytes", (long long)bytes);
    if (head->k != (uint32_t)service->k)
        return fail(error, EXIT_INPUT, "%s: recorded with %u workers, want as many as this run has: %d", path, head->k, service->k);
    if (head->buckets != (uint32_t)service->buckets)
        return fail(error, EXIT_INPUT, "%s: recorded with %u buckets, want as many as this run has: %d", path, head->buckets, service->buckets);
    if (head->services < 1 || head->services > most || head->services % service->buckets)
        return fail(error, EXIT_INPUT, "%s: want a whole number of pushes, at most the %lld of this run, for each of %d buckets, found %lld in all", path,
                    (long long)(most / service->buckets), service->buckets, (long long)head->services);
    if (bytes - sizeof *head != (size_t)head->services * sizeof *service->record)
        return fail(error, EXIT_INPUT, "%s: want %zu bytes for %lld pushes, found %zu", path, sizeof *head + (size_t)head->services * sizeof *service->record,
                    (long long)head->services, bytes);
    return 0;
}

/* most: services that this run can make. */
static int read_record(struct service *service, const char *path, int64_t most, struct error *error)
{
    char *bytes;
    size_t n;
    struct file_head head = { 0 };
    if (file_read(path, (size_t)1 << 32, &bytes, &n, error))
        return -1;
    service->record = (void *)bytes; /* freed with the service; the rows are moved to its beginning */
    if (n >= sizeof head)
        memcpy(&head, bytes, sizeof head);
    if (check_head(service, &head, n, most, path, error))
        return -1;
    memmove(bytes, bytes + sizeof head, n - sizeof head);
    service->n_record = head.services;
    service->pushes = head.services / service->buckets;
    return index_record(service, path, error);
}

int service_open(struct service *service, const struct config *config, int k, int buckets, int64_t room, struct error *error)
{
    void *block;
    memset(service, 0, sizeof *service);
    service->order = config->async.order;
    service->k = k;
    service->buckets = buckets;
    if (door_allocate(&block, (size_t)buckets * sizeof *service->served, "the order of service", error))
        return -1;
    service->served = block;
    if (service->order == ORDER_REPLAY)
        return read_record(service, config->async.replay, room, error);
    if (!*config->async.record)
        return 0;
    if (door_allocate(&block, (size_t)room * sizeof *service->record, "the record of the order", error))
        return -1;
    service->record = block;
    service->room = room;
    return 0;
}

void service_close(struct service *service)
{
    door_free(service->served);
    door_free(service->record);
    door_free(service->queue);
    door_free(service->tickets);
    memset(service, 0, sizeof *service);
}

int64_t service_ticket(struct service *service, int worker, int64_t i)
{
    if (service->order == ORDER_ROUND_ROBIN)
        return i * service->k + worker;
    if (service->order == ORDER_REPLAY)
        return i < service->pushes ? service->tickets[worker * service->pushes + i] : -1;
    return atomic_fetch_add_explicit(&service->next_ticket, 1, memory_order_relaxed);
}

int64_t service_next_ticket(const struct service *service, int64_t end)
{
    int64_t next = atomic_load_explicit(&service->next_ticket, memory_order_relaxed);
    return next < end ? next : end;
}

void service_resume(struct service *service, const int64_t *served, int64_t next_ticket, const void *record, int64_t n_record)
{
    memcpy(service->served, served, (size_t)service->buckets * sizeof *served);
    atomic_store_explicit(&service->next_ticket, next_ticket, memory_order_relaxed);
    if (service->room && record) {
        memcpy(service->record, record, (size_t)n_record * sizeof *service->record);
        service->n_record = n_record;
    }
}

/* To end iteration i - 1 a worker needs the answers to its pushes of i - 2, and they come after all that the record serves before them. */
static bool raise_for_bucket(const struct service *service, int bucket, int64_t *cut)
{
    const int64_t *queue = service->queue + bucket * service->pushes;
    int64_t count[64] = { 0 }, before[64] = { 0 };
    bool raised = false;
    for (int64_t i = 0; i < service->pushes; i++) {
        int64_t worker = queue[i];
        if (++count[worker] < cut[worker])
            memcpy(before, count, sizeof before);
    }
    for (int k = 0; k < service->k; k++)
        if (before[k] > cut[k]) {
            cut[k] = before[k];
            raised = true;
        }
    return raised;
}

void service_cut(const struct service *service, int64_t *cut)
{
    for (int k = 0; k < service->k; k++) {
        int64_t pushes = 0;
        while (pushes < service->pushes && service->tickets[k * service->pushes + pushes] >= 0)
            pushes++;
        cut[k] = cut[k] < pushes ? cut[k] : pushes;
    }
    for (bool raised = true; raised;) {
        raised = false;
        for (int bucket = 0; bucket < service->buckets; bucket++)
            raised |= raise_for_bucket(service, bucket, cut);
    }
}

/* The worker of the i-th push of that bucket. */
static int worker_at(const struct service *service, int bucket, int64_t i)
{
    if (service->order == ORDER_ROUND_ROBIN)
        return (int)(i % service->k);
    return service->order == ORDER_REPLAY && i < service->pushes ? (int)service->queue[bucket * service->pushes + i] : -1;
}

bool service_count(const struct service *service, int bucket, int64_t pushes, int64_t *of_worker)
{
    memset(of_worker, 0, (size_t)service->k * sizeof *of_worker);
    for (int64_t i = 0; i < pushes; i++) {
        int worker = worker_at(service, bucket, i);
        if (worker < 0)
            break;
        of_worker[worker]++;
    }
    return service->order != ORDER_FREE;
}

bool service_fits(const struct service *service, const int64_t *pair, int64_t tickets)
{
    struct service_record row;
    memcpy(&row, pair, sizeof row);
    return row.bucket < (uint32_t)service->buckets && row.worker < (uint32_t)service->k && row.ticket >= 0 && row.ticket < tickets;
}

int service_next(const struct service *service, int bucket) { return worker_at(service, bucket, service->served[bucket]); }

void service_served(struct service *service, int bucket, int worker, int64_t ticket)
{
    service->served[bucket]++;
    if (service->room) {
        ASSERT(service->n_record < service->room);
        service->record[service->n_record++] = (struct service_record){ (uint32_t)bucket, (uint32_t)worker, ticket };
    }
}

int service_write(const struct service *service, const char *path, struct error *error)
{
    struct file_head head = { .k = (uint32_t)service->k, .buckets = (uint32_t)service->buckets, .services = service->n_record };
    memcpy(head.magic, magic, sizeof magic);
    const struct file_part parts[] = { { &head, sizeof head }, { service->record, (size_t)service->n_record * sizeof *service->record } };
    return file_replace(path, parts, 2, error);
}
