/* See trace.h. */
#include "trainer/trace.h"

#include "base/door.h"

#include <string.h>

int trace_init(struct trace *trace, size_t room, struct error *error)
{
    void *records = NULL;
    memset(trace, 0, sizeof *trace);
    if (room && door_allocate(&records, room * sizeof *trace->records, "a trace", error))
        return -1;
    trace->records = records;
    trace->room = room;
    return 0;
}

void trace_release(struct trace *trace)
{
    door_free(trace->records);
    memset(trace, 0, sizeof *trace);
}

void trace_add(struct trace *trace, enum phase phase, int64_t iteration, int bucket, int64_t begin_ns, int64_t end_ns)
{
    trace->total_ns[phase] += end_ns - begin_ns;
    if (!trace->room)
        return;
    trace->records[trace->n++ % trace->room] = (struct trace_record){ begin_ns, end_ns, iteration, bucket, (int32_t)phase };
}
