/* See service.h. The file of a record: 16 bytes of magic and shape, then 16 bytes a service, little-endian. */
#include "trainer/service.h"

#include "base/door.h"
#include "base/file.h"

#include <string.h>

struct file_head { char magic[8]; uint32_t k, buckets; };
static const char magic[8] = "onestepR";

static int wrong(const char *path, struct error *error, const char *rule, long long got)
{
    return fail(error, EXIT_INPUT, "%s: want a recorded order of this run: %s, found %lld", path, rule, got);
}

/* From the record, which has been checked: the order per bucket, and the tickets per worker. */
static int index_record(struct service *service, const char *path, struct error *error)
{
    void *queue, *tickets, *counts;
    size_t n = (size_t)service->n_record;
    if (door_allocate(&queue, n * sizeof(int64_t), "the replayed order", error))
        return -1;
    service->queue = queue;
    if (door_allocate(&tickets, (size_t)service->k * (size_t)service->pushes * sizeof(int64_t), "the replayed tickets", error))
        return -1;
    service->tickets = tickets;
    memset(tickets, 0xff, (size_t)service->k * (size_t)service->pushes * sizeof(int64_t));
    if (door_allocate(&counts, ((size_t)service->buckets + (size_t)service->k) * sizeof(int64_t), "the replayed order", error))
        return -1;
    int64_t *in_bucket = counts, *of_worker = in_bucket + service->buckets;
    int result = 0;
    for (size_t i = 0; i < n && result == 0; i++) {
        const struct service_record *row = &service->record[i];
        if (in_bucket[row->bucket] == service->pushes) {
            result = wrong(path, error, "as many pushes for each bucket; too many for bucket", row->bucket);
            break;
        }
        service->queue[row->bucket * service->pushes + in_bucket[row->bucket]++] = row->worker;
        if (row->bucket == 0)
            service->tickets[row->worker * service->pushes + of_worker[row->worker]++] = row->ticket;
    }
    door_free(counts);
    return result;
}

static int read_record(struct service *service, const char *path, struct error *error)
{
    char *bytes;
    size_t n;
    struct file_head head = { 0 };
    if (file_read(path, (size_t)1 << 32, &bytes, &n, error))
        return -1;
    service->record = (void *)bytes; /* freed with the service; the rows are moved to its beginning */
    if (n >= sizeof head)
        memcpy(&head, bytes, sizeof head);
    if (n < sizeof head || memcmp(head.magic, magic, sizeof magic) != 0)
        return wrong(path, error, "the magic onestepR; bytes", (long long)n);
    if (head.k != (uint32_t)service->k)
        return fail(error, EXIT_INPUT, "%s: recorded with %u workers, want as many as this run has: %d", path, head.k, service->k);
    if (head.buckets != (uint32_t)service->buckets)
        return fail(error, EXIT_INPUT, "%s: recorded with %u buckets, want as many as this run has: %d", path, head.buckets, service->buckets);
    if ((n - sizeof head) % (sizeof *service->record * head.buckets))
        return wrong(path, error, "whole records for every bucket; bytes", (long long)n);
    memmove(bytes, bytes + sizeof head, n - sizeof head);
    service->n_record = (int64_t)((n - sizeof head) / sizeof *service->record);
    service->pushes = service->n_record / service->buckets;
    for (int64_t i = 0; i < service->n_record; i++)
        if (service->record[i].worker >= head.k || service->record[i].bucket >= head.buckets || service->record[i].ticket < 0)
            return wrong(path, error, "workers, buckets and tickets in range; record", (long long)i);
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
        return read_record(service, config->async.replay, error);
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

int service_next(const struct service *service, int bucket)
{
    int64_t served = service->served[bucket];
    if (service->order == ORDER_ROUND_ROBIN)
        return (int)(served % service->k);
    if (service->order == ORDER_REPLAY && served < service->pushes)
        return (int)service->queue[bucket * service->pushes + served];
    return -1;
}

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
    struct file_head head = { .k = (uint32_t)service->k, .buckets = (uint32_t)service->buckets };
    memcpy(head.magic, magic, sizeof magic);
    const struct file_part parts[] = { { &head, sizeof head }, { service->record, (size_t)service->n_record * sizeof *service->record } };
    return file_replace(path, parts, 2, error);
}
