/* See chains.h. */
#include "tests/chains.h"

#include "nets/layers.h"
#include "tests/tests.h"

#include <stdio.h>

static int smaller(int a, int b) { return a < b ? a : b; }

/* A window no larger than the plane. */
static int window_size(struct shape in, struct draws *draws)
{
    int size = draw_one(draws, (int[]){ 1, 3, 5 }, 3);
    return size <= smaller(in.h, in.w) ? size : 1;
}

static int any_conv(struct graph *graph, int x, struct shape in, struct draws *draws)
{
    int size = window_size(in, draws);
    return conv(graph, x, "op", &(struct conv_args){ .filters = draw_one(draws, (int[]){ 1, 3, 6, 16, 20, 50 }, 6), .size = size, .stride = 1 + draw_below(draws, 2),
                                                     .pad = draw_below(draws, size / 2 + 1), .no_bias = draw_below(draws, 4) == 0 });
}

static int any_pool(struct graph *graph, int x, enum pool_kind kind, struct draws *draws)
{
    struct shape in = graph->nodes[x].out;
    int size = smaller(2 + draw_below(draws, 2), smaller(in.h, in.w));
    return pool(graph, x, &(struct pool_args){ kind, size, 1 + draw_below(draws, size), size > 1 ? draw_below(draws, 2) : 0 });
}

static int build_conv(struct graph *graph, const int *x, struct shape in, struct draws *draws) { return any_conv(graph, *x, in, draws); }
static int build_conv_relu(struct graph *graph, const int *x, struct shape in, struct draws *draws) { return relu(graph, any_conv(graph, *x, in, draws)); }

static int build_conv_pool(struct graph *graph, const int *x, struct shape in, struct draws *draws)
{
    return any_pool(graph, any_conv(graph, *x, in, draws), draw_below(draws, 3) ? POOL_MAX : POOL_AVERAGE, draws);
}

static int build_conv_relu_pool(struct graph *graph, const int *x, struct shape in, struct draws *draws)
{
    return any_pool(graph, relu(graph, any_conv(graph, *x, in, draws)), draw_below(draws, 3) ? POOL_MAX : POOL_AVERAGE, draws);
}

static int build_conv_pool_relu(struct graph *graph, const int *x, struct shape in, struct draws *draws)
{
    return relu(graph, any_pool(graph, any_conv(graph, *x, in, draws), POOL_MAX, draws));
}

/* LeNet's: even planes, 2/2. */
static int build_conv_halved(struct graph *graph, const int *x, struct shape in, struct draws *draws)
{
    int size = in.h >= 6 && in.w >= 6 ? 5 : 1;
    int y = conv(graph, *x, "op", &(struct conv_args){ .filters = draw_one(draws, (int[]){ 6, 16, 20, 50 }, 4), .size = size });
    return maxpool(graph, y, 2, 2);
}

static int build_max_pool(struct graph *graph, const int *x, struct shape in, struct draws *draws) { (void)in; return any_pool(graph, *x, POOL_MAX, draws); }
static int build_average_pool(struct graph *graph, const int *x, struct shape in, struct draws *draws) { (void)in; return any_pool(graph, *x, POOL_AVERAGE, draws); }

static int build_global_pool(struct graph *graph, const int *x, struct shape in, struct draws *draws)
{
    (void)in;
    return pool(graph, *x, &(struct pool_args){ .kind = draw_below(draws, 2) ? POOL_MAX : POOL_AVERAGE });
}

static int build_linear(struct graph *graph, const int *x, struct shape in, struct draws *draws) { (void)in; return linear(graph, *x, "op", draw_one(draws, (int[]){ 1, 10, 17, 84 }, 4)); }
static int build_linear_relu(struct graph *graph, const int *x, struct shape in, struct draws *draws) { return relu(graph, build_linear(graph, x, in, draws)); }
static int build_relu(struct graph *graph, const int *x, struct shape in, struct draws *draws) { (void)in, (void)draws; return relu(graph, *x); }
static int build_batchnorm(struct graph *graph, const int *x, struct shape in, struct draws *draws) { (void)in, (void)draws; return batchnorm(graph, *x, "op"); }
static int build_batchnorm_relu(struct graph *graph, const int *x, struct shape in, struct draws *draws) { return relu(graph, build_batchnorm(graph, x, in, draws)); }
static int build_batchnorm_add(struct graph *graph, const int *x, struct shape in, struct draws *draws)
{
    int y = build_batchnorm(graph, x, in, draws);
    return draw_below(draws, 2) ? add(graph, y, x[1]) : add(graph, x[1], y);
}

static int build_batchnorm_add_relu(struct graph *graph, const int *x, struct shape in, struct draws *draws) { return relu(graph, build_batchnorm_add(graph, x, in, draws)); }
static int build_add(struct graph *graph, const int *x, struct shape in, struct draws *draws) { (void)in, (void)draws; return add(graph, x[0], x[1]); }
static int build_add_relu(struct graph *graph, const int *x, struct shape in, struct draws *draws) { return relu(graph, build_add(graph, x, in, draws)); }

/* Sometimes no new channels, or no stride. */
static int build_shortcut(struct graph *graph, const int *x, struct shape in, struct draws *draws)
{
    return shortcut(graph, *x, in.c + draw_one(draws, (int[]){ 0, 1, 3, 16, 32 }, 5), 1 + draw_below(draws, 3));
}

static int build_concat(struct graph *graph, const int *x, struct shape in, struct draws *draws) { (void)in, (void)draws; return concat(graph, x, 3); }
static int build_dropout(struct graph *graph, const int *x, struct shape in, struct draws *draws) { (void)in; return dropout(graph, *x, draw_below(draws, 2) ? 0.5f : 0.2f); }

static int build_lrn(struct graph *graph, const int *x, struct shape in, struct draws *draws)
{
    (void)in;
    return lrn(graph, *x, &(struct lrn_args){ .size = 3 + 2 * draw_below(draws, 2), .alpha = 0.5f, .beta = 0.75f, .k = 1.5f });
}

/* Ten logits, and the loss itself is the chain's last node. */
static int build_loss(struct graph *graph, const int *x, struct shape in, struct draws *draws)
{
    (void)in;
    return loss(graph, *x, draw_below(draws, 2) ? 0.1f : 0);
}

const struct chain chains[] = {
    { "conv", 1, build_conv, 1e-5, false },
    { "conv + relu", 1, build_conv_relu, 1e-5, false },
    { "conv + pool", 1, build_conv_pool, 1e-5, false },
    { "conv + relu + pool", 1, build_conv_relu_pool, 1e-5, false },
    { "conv + pool + relu", 1, build_conv_pool_relu, 1e-5, false },
    { "conv + max 2/2", 1, build_conv_halved, 1e-5, false },
    { "max pool", 1, build_max_pool, 1e-5, true },
    { "average pool", 1, build_average_pool, 1e-5, true },
    { "global pool", 1, build_global_pool, 1e-5, false },
    { "linear", 1, build_linear, 1e-5, false },
    { "linear + relu", 1, build_linear_relu, 1e-5, false },
    { "relu", 1, build_relu, 0, true },
    { "batchnorm", 1, build_batchnorm, 1e-4, false },
    { "batchnorm + relu", 1, build_batchnorm_relu, 1e-4, false },
    { "batchnorm + add", 2, build_batchnorm_add, 1e-4, false },
    { "batchnorm + add + relu", 2, build_batchnorm_add_relu, 1e-4, false },
    { "add", 2, build_add, 0, false },
    { "add + relu", 2, build_add_relu, 0, false },
    { "shortcut", 1, build_shortcut, 0, false },
    { "concat", 3, build_concat, 0, false },
    { "dropout", 1, build_dropout, 1e-6, false },
    { "lrn", 1, build_lrn, 1e-4, false },
    { "loss", 1, build_loss, 1e-5, false },
};
const int n_chains = sizeof chains / sizeof *chains;

void trial_build(struct trial *trial, const struct chain *chain, struct draws *draws)
{
    struct graph *graph = &trial->graph;
    struct error error = { 0 };
    int x[NODE_INPUTS] = { 0 };
    bool is_loss = chain->build == build_loss;
    if (is_loss) {
        trial->in = (struct shape){ 10, 1, 1 };
        trial->at_input = false;
    }
    graph_init(graph, "trial", &(struct input_args){ .c = trial->at_input ? trial->in.c : 2, .h = trial->in.h, .w = trial->in.w });
    for (int k = 0; k < chain->n_inputs && !trial->at_input; k++) {
        char name[24];
        snprintf(name, sizeof name, "in%d", k);
        /* The inputs of a concatenation differ in their channels. */
        int filters = trial->in.c + (chain->build == build_concat ? k : 0);
        x[k] = conv(graph, 0, name, &(struct conv_args){ .filters = filters, .size = 1 });
        if (chain->apart)
            x[k] = concat(graph, &x[k], 1);
    }
    trial->from = graph->n_nodes;
    trial->to = chain->build(graph, x, trial->in, draws);
    if (!is_loss)
        loss(graph, linear(graph, trial->to, "out", 2), 0);
    if (graph_finish(graph, &error))
        fail_msg("%s: %s", chain->name, error.text);
}
