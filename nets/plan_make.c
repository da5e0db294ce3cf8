/* From a graph to a plan: fuse, prepare, place, bind.
 *
 * Time, for the lifetimes: operation i of n runs forward at i and backward at 2n-1-i. In training, what an operation reads or writes
 * forward lives until its backward; a gradient lives from the backward that writes it to the one that reads it. What operations
 * keep for themselves (`saved`) lives as long as the plan, since packed weights last from step to step. */
#include "nets/operation.h"

#include "base/door.h"
#include "base/sizes.h"
#include "nets/arena.h"
#include "nets/layer.h"

#include <string.h>

/* The number of the node that alone reads node `number`, or 0. */
static int only_reader(const struct graph *graph, int number)
{
    int reader = 0, n = 0;
    for (int i = number + 1; i < graph->n_nodes; i++)
        for (int k = 0; k < graph->nodes[i].n_inputs; k++)
            if (graph->nodes[i].inputs[k] == number) {
                reader = i;
                n++;
            }
    return n == 1 ? reader : 0;
}

static void parameter_range(struct operation *operation, const struct graph *graph)
{
    const struct node *node = operation->node;
    for (int i = 0; i < node->n_params; i++) {
        const struct param *row = &graph->params.rows[node->params[i]];
        ASSERT(i == 0 || row->offset == operation->end);
        if (i == 0)
            operation->begin = row->offset;
        operation->end = row->offset + row->count;
    }
}

/* What `next` reads besides the chain has been computed when the chain's first node is. */
static bool is_in_time(const struct plan *plan, const struct operation *operation, const struct node *next)
{
    for (int k = 0; k < next->n_inputs; k++)
        if (next->inputs[k] != operation->last && &plan->request.graph->nodes[next->inputs[k]] > operation->node)
            return false;
    return true;
}

static void read_also(struct operation *operation, const struct node *node)
{
    for (int k = 0; k < node->n_inputs; k++)
        if (node->inputs[k] != operation->last) {
            ASSERT(operation->n_inputs < NODE_INPUTS);
            operation->from[operation->n_inputs++] = node->inputs[k];
        }
}

static bool absorb(const struct plan *plan, struct operation *operation, const struct node *next)
{
    const struct layer *layer = operation->node->layer;
    if (!layer->absorb || !is_in_time(plan, operation, next) || !layer->absorb(&operation->args, next, &plan->request.backend->fusions))
        return false;
    read_also(operation, next);
    return true;
}

static void fuse(struct plan *plan)
{
    const struct graph *graph = plan->request.graph;
    for (int i = 0; i < graph->n_nodes; i++)
        plan->owner[i] = -1;
    for (int i = 0; i < graph->n_nodes; i++) {
        if (plan->owner[i] >= 0)
            continue;
        struct operation *operation = &plan->operations[plan->n];
        operation->node = &graph->nodes[i];
        operation->args = graph->nodes[i].args;
        operation->last = i;
        operation->n_inputs = graph->nodes[i].n_inputs;
        memcpy(operation->from, graph->nodes[i].inputs, sizeof operation->from);
        plan->owner[i] = plan->n;
        int next;
        while ((next = only_reader(graph, operation->last)) != 0 && absorb(plan, operation, &graph->nodes[next])) {
            operation->last = next;
            plan->owner[next] = plan->n;
        }
        parameter_range(operation, graph);
        plan->n++;
    }
}

/* Whether a later operation, or a later input of the same one, reads the same tensor. */
static bool read_later(const struct plan *plan, int reader, int slot)
{
    int producer = plan->owner[plan->operations[reader].from[slot]];
    for (int i = reader; i < plan->n; i++) {
        const struct operation *operation = &plan->operations[i];
        for (int k = i == reader ? slot + 1 : 0; k < operation->n_inputs; k++)
            if (plan->owner[operation->from[k]] == producer)
                return true;
    }
    return false;
}

static void connect(struct plan *plan, int number, struct op_request *request)
{
    struct operation *operation = &plan->operations[number];
    const struct node *node = operation->node;
    operation->differentiable = node->n_params > 0;
    for (int k = 0; k < operation->n_inputs; k++) {
        struct operation *producer = &plan->operations[plan->owner[operation->from[k]]];
        bool want = plan->request.training && producer->differentiable;
        operation->inputs[k] = &producer->output;
        if (want && read_later(plan, number, k)) {
            operation->views[k] = producer->output;
            operation->inputs[k] = &operation->views[k];
            operation->sums[k] = &producer->output;
        }
        operation->differentiable |= producer->differentiable;
        request->inputs[k] = operation->inputs[k];
        request->want_gradient[k] = want;
        request->add_gradient[k] = operation->sums[k] != NULL;
    }
}

static int prepare(struct plan *plan, int number, struct error *error)
{
    const struct graph *graph = plan->request.graph;
    struct operation *operation = &plan->operations[number];
    const struct node *node = operation->node;
    struct op_request request = {
        .device = plan->request.device, .training = plan->request.training, .precision = plan->request.precision, .batch = plan->request.batch,
        .n_inputs = operation->n_inputs, .output = &operation->output,
    };
    operation->output.shape = graph->nodes[operation->last].out;
    operation->output.batch = plan->request.batch;
    operation->output.precision = plan->request.precision;
    for (int i = 0; i < node->n_params; i++)
        request.params[i] = &graph->params.rows[node->params[i]];
    for (int i = 0; i < node->n_stats; i++)
        request.stats[i] = &graph->stats.rows[node->stats[i]];
    connect(plan, number, &request);
    if (node->layer->prepare(plan->request.backend, &operation->op, &request, &operation->args, error))
        return -1;
    for (int k = 0; k < operation->n_inputs; k++)
        if (operation->sums[k] && operation->op->adds >> k & 1) {
            operation->added[k] = operation->sums[k];
            operation->sums[k] = NULL;
        }
    operation->backward = plan->request.training && operation->differentiable;
    ASSERT(!operation->backward || operation->op->calls->backward);
    return 0;
}

static void want(struct span **list, int *n, size_t bytes, int first, int last, void **bind)
{
    if (bytes)
        *list[(*n)++] = (struct span){ .bytes = bytes, .first = first, .last = last, .bind = bind };
}

/* The last moment at which the output of operation `number` is read. */
static int last_use(const struct plan *plan, int number)
{
    int last = plan->operations[number].backward ? 2 * plan->n - 1 - number : number;
    for (int i = number + 1; i < plan->n; i++)
        for (int k = 0; k < plan->operations[i].n_inputs; k++)
            if (plan->owner[plan->operations[i].from[k]] == number) {
                int use = plan->operations[i].backward ? 2 * plan->n - 1 - i : i;
                last = use > last ? use : last;
                if (i == plan->n - 1)
                    last = 2 * plan->n; /* logits are asked for after the step */
            }
    return last;
}

static bool in_place(const struct operation *operation, int k) { return operation->backward && operation->op->in_place == k + 1; }

/* The last moment at which the place of the gradient of operation `number` is in use: as long as operations pass it on to the one before. */
static int gradient_use(const struct plan *plan, int number)
{
    for (int k;; number = plan->owner[plan->operations[number].from[k]]) {
        const struct operation *operation = &plan->operations[number];
        for (k = 0; k < operation->n_inputs && !in_place(operation, k); k++)
            ;
        if (k == operation->n_inputs || operation->sums[k])
            return 2 * plan->n - 1 - number;
    }
}

/* Lists everything that wants a place in the arena; returns how many. */
static int list_spans(struct plan *plan, struct span **list)
{
    int n = 0;
    for (int i = 0; i < plan->n; i++) {
        struct operation *operation = &plan->operations[i];
        struct tensor *output = &operation->output;
        int now = 2 * plan->n - 1 - i;
        want(list, &n, output->bytes, i, last_use(plan, i), &output->data);
        for (int k = 0; k < operation->n_inputs; k++) {
            struct operation *producer = &plan->operations[plan->owner[operation->from[k]]];
            if (in_place(operation, k) || operation->added[k])
                continue;
            if (operation->sums[k])
                want(list, &n, producer->output.bytes, now, now, &operation->views[k].gradient);
            else if (plan->request.training && producer->differentiable)
                want(list, &n, producer->output.bytes, now, gradient_use(plan, (int)(producer - plan->operations)), &producer->output.gradient);
        }
    }
    return n;
}

/* Everything bound in the order: arena, what operations keep, the scratch they share. */
static int bind(struct plan *plan, struct span **list, int n, struct error *error)
{
    size_t kept = arena_place(list, n), scratch = 0;
    plan->bytes = kept;
    for (int i = 0; i < plan->n; i++) {
        plan->bytes += round_up(plan->operations[i].op->saved_bytes, DOOR_ALIGNMENT);
        scratch = size_max(scratch, plan->operations[i].op->scratch_bytes);
    }
    if (plan->request.backend->allocate(plan->request.device, &plan->memory, plan->bytes + scratch, "activations", error))
        return -1;
    char *base = plan->memory;
    for (int i = 0; i < n; i++)
        *list[i]->bind = base + list[i]->offset;
    for (int i = 0; i < plan->n; i++) {
        struct operation *operation = &plan->operations[i];
        operation->op->saved = base + kept;
        operation->op->scratch = base + plan->bytes;
        kept += round_up(operation->op->saved_bytes, DOOR_ALIGNMENT);
        for (int k = 0; k < operation->n_inputs; k++)
            if (operation->inputs[k] == &operation->views[k])
                operation->views[k].data = (operation->sums[k] ? operation->sums[k] : operation->added[k])->data;
    }
    for (int i = plan->n - 1; i >= 0; i--)
        for (int k = 0; k < plan->operations[i].n_inputs; k++)
            if (in_place(&plan->operations[i], k))
                plan->operations[i].inputs[k]->gradient = plan->operations[i].output.gradient;
    for (int i = 0; i < plan->n; i++)
        for (int k = 0; k < plan->operations[i].n_inputs; k++)
            if (plan->operations[i].added[k])
                plan->operations[i].views[k].gradient = plan->operations[i].added[k]->gradient;
    plan->bytes += scratch;
    return 0;
}

static int place(struct plan *plan, struct error *error)
{
    size_t room = (size_t)plan->n * (2 + NODE_INPUTS);
    void *block;
    if (door_allocate(&block, room * (sizeof(struct span) + sizeof(struct span *)), "lifetimes of a plan", error))
        return -1;
    struct span *spans = block;
    struct span **list = (struct span **)(void *)(spans + room);
    for (size_t i = 0; i < room; i++)
        list[i] = &spans[i];
    int result = bind(plan, list, list_spans(plan, list), error);
    door_free(block);
    return result;
}

static int make(struct plan *plan, struct error *error)
{
    void *block;
    size_t nodes = (size_t)plan->request.graph->n_nodes;
    if (door_allocate(&block, nodes * sizeof *plan->operations, "operations of a plan", error))
        return -1;
    plan->operations = block;
    if (door_allocate(&block, nodes * sizeof *plan->owner, "operations of a plan", error))
        return -1;
    plan->owner = block;
    if (door_allocate(&block, nodes * sizeof *plan->packing, "operations of a plan", error))
        return -1;
    plan->packing = block;
    fuse(plan);
    for (int turn = 0; turn < 2 && plan->request.backend->captures; turn++)
        if (recording_init(&plan->recordings[turn], plan->n, error))
            return -1;
    for (int i = 0; i < plan->n; i++)
        if (prepare(plan, i, error))
            return -1;
    return place(plan, error);
}

int plan_make(struct plan **result, const struct plan_request *request, struct error *error)
{
    void *block;
    *result = NULL;
    ASSERT(request->batch > 0 && request->backend->offers(request->precision));
    if (door_allocate(&block, sizeof **result, "plan", error))
        return -1;
    struct plan *plan = block;
    *plan = (struct plan){ .request = *request };
    if (make(plan, error)) {
        plan_free(plan);
        return -1;
    }
    *result = plan;
    return 0;
}

void plan_free(struct plan *plan)
{
    if (!plan)
        return;
    for (int turn = 0; turn < 2 && plan->request.backend->captures; turn++)
        recording_release(&plan->recordings[turn], plan->request.backend->captures);
    for (int i = 0; i < plan->n; i++)
        if (plan->operations[i].op)
            plan->operations[i].op->calls->free(plan->operations[i].op);
    if (plan->memory)
        plan->request.backend->release(plan->request.device, plan->memory);
    door_free(plan->packing);
    door_free(plan->owner);
    door_free(plan->operations);
    door_free(plan);
}
