/* The least time of a training step on a GPU, counted and not measured: what each kernel and library call of cuda/ reads and writes, and what it multiplies.
 *
 *     traffic network batch fp32|bf16|fp16 [terabytes/s teraflop/s]
 *
 * A pass takes the longer of its bytes at that bandwidth and its products at that rate; the default is an H100's. Every tensor counts as if it came from memory, though a small one may still lie in
 * the second cache, and launches take no time; a backward product reads its operands once each. The plan is the real one, made on a table whose operations only count. */
#include "base/door.h"
#include "base/sizes.h"
#include "nets/layers.h"
#include "nets/network.h"
#include "nets/operation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One direction of one operation; the kernels in a list are as many as `launches`. */
struct way { int launches; double bytes, multiply_adds, seconds; };

struct counted {
    struct op op;
    struct way ways[2];
    const char *kind;
};

static struct { double bytes, flops; } rates = { 3.0e12, 790e12 };

static double elements(const struct tensor *tensor) { return (double)tensor->batch * (double)shape_count(tensor->shape); }
static double size_of(const struct tensor *tensor) { return elements(tensor) * (tensor->precision == PRECISION_FP32 ? 4 : 2); }

static void pass(struct way *way, double bytes, double multiply_adds)
{
    const double moving = bytes / rates.bytes, multiplying = 2 * multiply_adds / rates.flops;
    way->launches++;
    way->bytes += bytes;
    way->multiply_adds += multiply_adds;
    way->seconds += moving > multiplying ? moving : multiplying;
}

static void release(struct op *op) { door_free(op); }
static int nothing(struct op *op, const struct step *step, struct error *error)
{
    (void)op, (void)step, (void)error;
    return 0;
}

static struct counted *counted(struct op **op, const struct op_request *request, const char *kind, struct error *error)
{
    static const struct op_calls calls = { .forward = nothing, .backward = nothing, .free = release };
    void *block;
    if (door_allocate(&block, sizeof(struct counted), "operation", error))
        return NULL;
    struct counted *self = block;
    self->kind = kind;
    self->op.calls = &calls;
    request->output->bytes = round_up((size_t)size_of(request->output), 16);
    *op = &self->op;
    return self;
}

/* y from x, and dx from dy and what else backward reads. */
static int simple(struct op **op, const struct op_request *request, const char *kind, double forward, double backward, struct error *error)
{
    struct counted *self = counted(op, request, kind, error);
    if (!self)
        return -1;
    pass(&self->ways[0], forward, 0);
    if (request->want_gradient[0])
        pass(&self->ways[1], backward, 0);
    return 0;
}

/* A convolution, or a product over samples as rows. */
static int product(struct op **op, const struct op_request *request, const char *kind, double window, bool relu, bool unpacked, struct error *error)
{
    const bool adds = request->add_gradient[0] && strcmp(kind, "convolution") == 0;
    const struct tensor *x = request->inputs[0], *y = request->output;
    const double in = size_of(x), out = size_of(y), weights = (double)request->params[0]->count, packed = weights * (y->precision == PRECISION_FP32 ? 4 : 2);
    const double multiply_adds = elements(y) * window;
    struct counted *self = counted(op, request, kind, error);
    if (!self)
        return -1;
    pass(&self->ways[0], in + packed + out, multiply_adds);
    if (relu)
        pass(&self->ways[0], 2 * out, 0);
    if (request->params[1] || relu)
        pass(&self->ways[1], relu ? 3 * out : out, 0);
    self->ways[1].launches += request->params[1] != NULL; /* its partial sums */
    pass(&self->ways[1], in + out + (unpacked ? packed : 4 * weights), multiply_adds);
    if (unpacked)
        pass(&self->ways[1], packed + 4 * weights, 0);
    if (request->want_gradient[0])
        pass(&self->ways[1], (adds ? 2 : 1) * in + out + packed, multiply_adds);
    self->op.adds = adds;
    return 0;
}

static int count_conv(struct op **op, const struct op_request *request, const struct conv_args *args, struct error *error)
{
    return product(op, request, "convolution", (double)args->size * args->size * request->inputs[0]->shape.c, args->relu, true, error);
}

static int count_linear(struct op **op, const struct op_request *request, const struct linear_args *args, struct error *error)
{
    const struct shape in = request->inputs[0]->shape;
    return product(op, request, "product", (double)shape_count(in), args->relu, in.c > 1 && in.h * in.w > 1, error);
}

static int count_batchnorm(struct op **op, const struct op_request *request, const struct batchnorm_args *args, struct error *error)
{
    const double y = size_of(request->output), bits = args->relu ? elements(request->output) / 8 : 0;
    struct counted *self = counted(op, request, args->add ? "normalization + addition" : "normalization", error);
    if (!self)
        return -1;
    pass(&self->ways[0], y, 0);
    pass(&self->ways[0], (args->add ? 3 : 2) * y + bits, 0);
    pass(&self->ways[1], 2 * y + bits, 0);
    pass(&self->ways[1], (args->add && args->relu ? 4 : 3) * y + bits, 0);
    self->op.in_place = args->add && request->want_gradient[1] ? 2 : request->want_gradient[0] ? 1 : 0;
    return 0;
}

static int count_input(struct op **op, const struct op_request *request, const struct input_args *args, struct error *error)
{
    (void)args;
    return simple(op, request, "input", elements(request->output) + size_of(request->output), 0, error);
}

static int count_pool(struct op **op, const struct op_request *request, const struct pool_args *args, struct error *error)
{
    const double x = size_of(request->inputs[0]), y = size_of(request->output);
    const double places = args->kind == POOL_MAX ? elements(request->output) : 0; /* of the maxima, a byte each */
    return simple(op, request, "pooling", x + y + places, x + y + places, error);
}

static int count_relu(struct op **op, const struct op_request *request, struct error *error)
{
    const double y = size_of(request->output);
    return simple(op, request, "ReLU", 2 * y, 3 * y, error);
}

static int count_add(struct op **op, const struct op_request *request, const struct add_args *args, struct error *error)
{
    const double y = size_of(request->output);
    return simple(op, request, "addition", 3 * y, (args->relu ? 4 : 3) * y, error);
}

static int count_shortcut(struct op **op, const struct op_request *request, const struct shortcut_args *args, struct error *error)
{
    const double x = size_of(request->inputs[0]), y = size_of(request->output);
    (void)args;
    return simple(op, request, "shortcut", 2 * y, x + y, error);
}

static int count_concat(struct op **op, const struct op_request *request, struct error *error)
{
    const double y = size_of(request->output);
    return simple(op, request, "concatenation", 2 * y, 2 * y, error);
}

static int count_dropout(struct op **op, const struct op_request *request, const struct dropout_args *args, struct error *error)
{
    const double y = size_of(request->output);
    (void)args;
    return simple(op, request, "dropout", 2 * y, 2 * y, error);
}

static int count_lrn(struct op **op, const struct op_request *request, const struct lrn_args *args, struct error *error)
{
    const double y = size_of(request->output), base = 4 * elements(request->output);
    (void)args;
    return simple(op, request, "local normalization", 2 * y + base, 3 * y + base, error);
}

static int count_loss(struct op **op, const struct op_request *request, const struct loss_args *args, struct error *error)
{
    const double x = size_of(request->inputs[0]);
    (void)args;
    return simple(op, request, "loss", x, 2 * x, error);
}

static bool offers(enum precision precision)
{
    (void)precision;
    return true;
}

/* No memory: nothing runs. */
static int allocate(struct device *device, void **block, size_t bytes, const char *what, struct error *error)
{
    (void)device, (void)bytes;
    return door_allocate(block, 1, what, error);
}

static void give_back(struct device *device, void *block)
{
    (void)device;
    door_free(block);
}

/* Fused as cuda/ has it. */
static const struct backend counting = {
    .name = "counting", .fusions = { .conv_relu = true, .linear_relu = true, .batchnorm_add = true, .batchnorm_relu = true, .add_relu = true },
    .offers = offers, .allocate = allocate, .release = give_back,
    .input = count_input, .conv = count_conv, .pool = count_pool, .linear = count_linear, .relu = count_relu, .batchnorm = count_batchnorm, .add = count_add,
    .shortcut = count_shortcut, .concat = count_concat, .dropout = count_dropout, .lrn = count_lrn, .loss = count_loss,
};

enum { KINDS = 24 };
struct kind { const char *name; int n; struct way ways[2]; };

static void add_way(struct way *to, const struct way *more)
{
    to->launches += more->launches;
    to->bytes += more->bytes;
    to->multiply_adds += more->multiply_adds;
    to->seconds += more->seconds;
}

static void add_to(struct kind *kinds, int *n, const char *name, const struct way ways[2])
{
    int i = 0;
    while (i < *n && strcmp(kinds[i].name, name) != 0)
        i++;
    ASSERT(i < KINDS);
    if (i == *n)
        kinds[(*n)++] = (struct kind){ .name = name };
    kinds[i].n++;
    add_way(&kinds[i].ways[0], &ways[0]);
    add_way(&kinds[i].ways[1], &ways[1]);
}

static void print_row(const char *name, int n, const struct way ways[2])
{
    printf("%-26s %4d", name, n);
    for (int i = 0; i < 2; i++)
        printf(" %9d %10.1f %10.1f %10.1f", ways[i].launches, ways[i].bytes / 1e6, ways[i].multiply_adds / 1e9, ways[i].seconds * 1e6);
    printf("\n");
}

static void print(const struct plan *plan)
{
    struct kind kinds[KINDS] = { 0 }, all = { 0 };
    int n = 0;
    for (int i = 0; i < plan->n; i++) {
        const struct operation *operation = &plan->operations[i];
        struct counted *self = (struct counted *)operation->op;
        if (!operation->backward)
            self->ways[1] = (struct way){ 0 };
        print_row(operation->node->name, 1, self->ways);
        add_to(kinds, &n, self->kind, self->ways);
        for (int k = 0; k < operation->n_inputs; k++)
            if (operation->sums[k]) {
                struct way sums[2] = { 0 };
                pass(&sums[1], 3 * size_of(operation->sums[k]), 0);
                add_to(kinds, &n, "(sums of gradients)", sums);
            }
    }
    const double params = (double)plan->request.graph->params.total;
    struct way packing[2] = { 0 }, update[2] = { 0 };
    pass(&packing[0], (plan->request.precision == PRECISION_FP32 ? 8 : 6) * params, 0);
    add_to(kinds, &n, "(packing of weights)", packing);
    pass(&update[1], 20 * params, 0);
    add_to(kinds, &n, "(global update)", update);
    printf("\n%-26s %4s %9s %10s %10s %10s %9s %10s %10s %10s\n", "", "n", "launches", "MB", "GMAC", "us", "launches", "MB", "GMAC", "us");
    for (int i = 0; i < n; i++) {
        print_row(kinds[i].name, kinds[i].n, kinds[i].ways);
        add_way(&all.ways[0], &kinds[i].ways[0]);
        add_way(&all.ways[1], &kinds[i].ways[1]);
    }
    print_row("a step", plan->n, all.ways);
    const double seconds = all.ways[0].seconds + all.ways[1].seconds;
    printf("%s, batch %d, %s: %.1f us a step, %.0f images/s, %d launches, at %.2f TB/s and %.0f TFLOP/s; plan %.0f MiB\n", plan->request.graph->name, plan->request.batch,
           precision_name(plan->request.precision), seconds * 1e6, plan->request.batch / seconds, all.ways[0].launches + all.ways[1].launches, rates.bytes / 1e12, rates.flops / 1e12,
           (double)plan_bytes(plan) / (1 << 20));
}

static int count(char **words, struct error *error)
{
    int64_t batch;
    int precision = 0;
    struct graph graph;
    struct plan *plan;
    struct network_request request = { .input = { .c = 3, .h = 32, .w = 32, .std = { 1, 1, 1 } }, .classes = 10 };
    while (precision < PRECISIONS && strcmp(words[2], precision_name((enum precision)precision)))
        precision++;
    if (precision == PRECISIONS || !parse_int64(words[1], &batch) || batch < 1 || batch > 65536)
        return fail(error, EXIT_USAGE, "want a batch of 1..65536 and fp32, bf16 or fp16");
    if (strncmp(words[0], "lenet", 5) == 0)
        request.input = (struct input_args){ .c = 1, .h = 28, .w = 28, .std = { 1 } };
    if (strcmp(words[0], "resnet50") == 0 || strcmp(words[0], "resnet101") == 0 || strcmp(words[0], "resnet152") == 0) {
        request.input.h = request.input.w = 224;
        request.classes = 1000;
    }
    if (network_build(&graph, words[0], &request, error))
        return -1;
    int result = plan_make(&plan, &(struct plan_request){ &counting, NULL, &graph, (int)batch, true, (enum precision)precision }, error);
    if (result == 0)
        print(plan);
    plan_free(result ? NULL : plan);
    graph_release(&graph);
    return result;
}

int main(int argc, char **argv)
{
    struct error error = { 0 };
    double terabytes, teraflops;
    if (argc == 6 && parse_double(argv[4], &terabytes) && parse_double(argv[5], &teraflops) && terabytes > 0 && teraflops > 0) {
        rates.bytes = terabytes * 1e12;
        rates.flops = teraflops * 1e12;
    } else if (argc != 4)
        fail(&error, EXIT_USAGE, "usage: traffic network batch fp32|bf16|fp16 [terabytes/s teraflop/s]");
    if (error.code || count(argv + 1, &error))
        fprintf(stderr, "%s\n", error.text);
    return error.code;
}
