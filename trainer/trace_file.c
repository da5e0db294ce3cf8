/* See trace_file.h. One event a line, so that a script can read it without a JSON parser. */
#include "trainer/trace_file.h"

#include "base/door.h"
#include "base/file.h"
#include "trainer/server.h"
#include "trainer/worker.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const phase_names[PHASES] = {
    [PHASE_COMPUTE] = "compute", [PHASE_LOCAL] = "local update", [PHASE_WAIT_WEIGHTS] = "wait for weights", [PHASE_WAIT_DATA] = "wait for data", [PHASE_WAIT_DEVICE] = "wait for the GPU",
    [PHASE_EVALUATE] = "evaluate", [PHASE_EMULATED] = "straggle", [PHASE_UPDATE] = "global update", [PHASE_LINK_IN] = "push on the link", [PHASE_LINK_OUT] = "answer on the link",
};

enum { EVENT_ROOM = 200 };

struct events { char *text; size_t used; int64_t from_ns; };

static size_t kept(const struct trace *trace) { return trace->n < trace->room ? trace->n : trace->room; }

/* Links have rows of their own: what is on them goes on beside what the server does. */
static int row_of(const struct trace_record *record, int thread, int k)
{
    return record->phase == PHASE_LINK_IN ? k + 1 : record->phase == PHASE_LINK_OUT ? k + 2 : thread;
}

static void add_records(struct events *events, const struct trace *trace, int thread, int k)
{
    for (size_t i = 0; i < kept(trace); i++) {
        const struct trace_record *record = &trace->records[(trace->n - kept(trace) + i) % trace->room];
        events->used += (size_t)snprintf(events->text + events->used, EVENT_ROOM,
                                         "{\"name\":\"%s\",\"ph\":\"X\",\"pid\":0,\"tid\":%d,\"ts\":%.3f,\"dur\":%.3f,\"args\":{\"iteration\":%" PRId64 ",\"bucket\":%d}},\n", phase_names[record->phase],
                                         row_of(record, thread, k), (double)(record->begin_ns - events->from_ns) / 1000, (double)(record->end_ns - record->begin_ns) / 1000, record->iteration,
                                         record->bucket);
    }
}

static void add_name(struct events *events, int row, const char *name)
{
    events->used += (size_t)snprintf(events->text + events->used, EVENT_ROOM, "{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":0,\"tid\":%d,\"args\":{\"name\":\"%s\"}},\n", row, name);
}

static int64_t first_ns(const struct run *run)
{
    int64_t first = INT64_MAX;
    for (int thread = 0; thread <= run->k; thread++) {
        const struct trace *trace = thread < run->k ? &run->workers[thread].trace : &run->server->trace;
        for (size_t i = 0; i < kept(trace); i++)
            if (trace->records[i].begin_ns < first)
                first = trace->records[i].begin_ns;
    }
    return first;
}

int trace_file_write(const char *path, const struct run *run, struct error *error)
{
    size_t n = (size_t)run->k + 4;
    void *block;
    for (int k = 0; k < run->k; k++)
        n += kept(&run->workers[k].trace);
    n += kept(&run->server->trace);
    if (door_allocate(&block, n * EVENT_ROOM, "the trace's text", error))
        return -1;
    struct events events = { .text = block, .from_ns = first_ns(run) };
    events.used = (size_t)sprintf(events.text, "[\n");
    for (int k = 0; k < run->k; k++) {
        char name[24];
        snprintf(name, sizeof name, "worker %d", k);
        add_name(&events, k, name);
        add_records(&events, &run->workers[k].trace, k, run->k);
    }
    add_name(&events, run->k, "server");
    add_name(&events, run->k + 1, "link in");
    add_name(&events, run->k + 2, "link out");
    add_records(&events, &run->server->trace, run->k, run->k);
    events.used -= 2; /* the last comma */
    events.used += (size_t)sprintf(events.text + events.used, "\n]\n");
    const struct file_part part = { events.text, events.used };
    int result = file_replace(path, &part, 1, error);
    door_free(block);
    return result;
}
