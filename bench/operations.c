/* Where the time of a training step goes: the operations of a plan, those of one kind together.
 *
 *     operations network batch
 *
 * An operation is what the plan made of one or several nodes. The sums of gradients that the plan makes between operations, where a
 * tensor has several readers, are a kind of their own. The median of the rounds counts. */
#include "bench/isa.h"

#include "base/door.h"
#include "base/sizes.h"
#include "base/text.h"
#include "cpu/cpu.h"
#include "nets/layer.h"
#include "nets/dummy.h"
#include "nets/network.h"
#include "nets/operation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 15, KINDS = 32, KIND_ROOM = 64 };

struct kind { char name[KIND_ROOM]; int n; int64_t ns[2][ROUNDS]; }; /* forward, backward */

struct kinds { int n; struct kind rows[KINDS]; };

static struct kind *find(struct kinds *kinds, const char *name)
{
    int i = 0;
    while (i < kinds->n && strcmp(kinds->rows[i].name, name) != 0)
        i++;
    ASSERT(i < KINDS);
    if (i == kinds->n)
        strcpy(kinds->rows[kinds->n++].name, name);
    return &kinds->rows[i];
}

static struct kind *kind_of(struct kinds *kinds, const struct plan *plan, int number)
{
    char name[KIND_ROOM];
    struct text text;
    text_begin(&text, name, sizeof name);
    for (int i = 0; i < plan->request.graph->n_nodes; i++)
        if (plan->owner[i] == number)
            text_add(&text, "%s%s", text.used ? " + " : "", plan->request.graph->nodes[i].layer->kind);
    return find(kinds, name);
}

static int forward(struct plan *plan, const struct step *step, struct kinds *kinds, int round, struct error *error)
{
    for (int i = 0; i < plan->n; i++) {
        struct op *op = plan->operations[i].op;
        const int64_t begin = door_now_ns();
        if ((op->calls->pack && op->calls->pack(op, step, error)) || op->calls->forward(op, step, error))
            return -1;
        kind_of(kinds, plan, i)->ns[0][round] += door_now_ns() - begin;
    }
    return 0;
}

static int backward(struct plan *plan, const struct step *step, struct kinds *kinds, int round, struct error *error)
{
    for (int i = plan->n - 1; i >= 0; i--) {
        struct operation *operation = &plan->operations[i];
        if (!operation->backward)
            continue;
        const int64_t begin = door_now_ns();
        if (operation->op->calls->backward(operation->op, step, error))
            return -1;
        const int64_t between = door_now_ns();
        kind_of(kinds, plan, i)->ns[1][round] += between - begin;
        for (int k = 0; k < operation->n_inputs; k++)
            if (operation->sums[k])
                plan->request.backend->accumulate(plan->request.device, operation->sums[k], operation->inputs[k]);
        find(kinds, "(sums of gradients)")->ns[1][round] += door_now_ns() - between;
    }
    return 0;
}

static int ascending(const void *a, const void *b) { return (*(const int64_t *)a > *(const int64_t *)b) - (*(const int64_t *)a < *(const int64_t *)b); }

static double median_us(int64_t *of)
{
    qsort(of, ROUNDS, sizeof *of, ascending);
    return (double)of[ROUNDS / 2] * 1e-3;
}

static void print(const struct plan *plan, struct kinds *kinds)
{
    double us[KINDS][2], all = 0;
    for (int i = 0; i < kinds->n; i++)
        for (int way = 0; way < 2; way++)
            all += us[i][way] = median_us(kinds->rows[i].ns[way]);
    for (int i = 0; i < plan->n; i++)
        kind_of(kinds, plan, i)->n++;
    printf("%-32s %4s %12s %12s %8s\n", "operation", "n", "forward us", "backward us", "share");
    for (int i = 0; i < kinds->n; i++)
        printf("%-32s %4d %12.1f %12.1f %7.1f%%\n", kinds->rows[i].name, kinds->rows[i].n, us[i][0], us[i][1], 100 * (us[i][0] + us[i][1]) / all);
    printf("%s, %s, batch %d: %.0f us a step, %.0f images/s, plan %.1f MiB, %.0f KiB an image\n", plan->request.graph->name, plan->request.backend->name, plan->request.batch, all,
           plan->request.batch * 1e6 / all, (double)plan_bytes(plan) / 0x1p20, (double)plan_bytes(plan) / plan->request.batch / 1024);
}

static int measure(const struct graph *graph, int batch, struct error *error)
{
    static struct kinds kinds;
    struct device *device = NULL;
    struct plan *plan = NULL;
    struct dummy dummy;
    if (backend_lanes.device_open(&device, -1, error) ||
        plan_make(&plan, &(struct plan_request){ &backend_lanes, device, graph, batch, true, PRECISION_FP32 }, error) || dummy_init(&dummy, &backend_lanes, device, graph, batch, error))
        return -1;
    for (int round = -1; round < ROUNDS; round++) { /* the first warms up */
        const int to = round < 0 ? 0 : round;
        if (forward(plan, &dummy.step, &kinds, to, error) || backward(plan, &dummy.step, &kinds, to, error))
            return -1;
        for (int i = 0; round < 0 && i < kinds.n; i++)
            kinds.rows[i].ns[0][0] = kinds.rows[i].ns[1][0] = 0;
    }
    print(plan, &kinds);
    plan_free(plan);
    backend_lanes.device_close(device);
    dummy_release(&dummy);
    return 0;
}

int main(int argc, char **argv)
{
    int64_t batch;
    if (argc != 3 || !parse_int64(argv[2], &batch) || batch < 1 || batch > 65536) {
        fprintf(stderr, "usage: operations network batch\n");
        return EXIT_USAGE;
    }
    const char *isa = bench_isa();
    if (!isa)
        return EXIT_USAGE;
    const struct network_request request = { .input = { .c = 3, .h = 32, .w = 32, .std = { 1, 1, 1 } }, .classes = 10 };
    struct error error = { 0 };
    struct graph graph;
    if (network_build(&graph, argv[1], &request, &error) || measure(&graph, (int)batch, &error)) {
        fprintf(stderr, "%s\n", error.text);
        return error.code;
    }
    graph_release(&graph);
    return EXIT_DONE;
}
