/* What cuDNN offers for the convolutions of a network on a GPU that need not be there: the library is asked with a description of it.
 *
 *     cudnn_offers network batch precision [h100|h200|a100] [deterministic] [tf32]
 *
 * A row for each different convolution and pass: how many engines (with their knobs) the heuristics name that the rules allow, how many of them have a plan
 * within 1 GiB of workspace, and the first of these with its workspace. "forward + bias" and "filter to fp32" may have none: the backend then does that part
 * itself. */
#include "nets/layer.h"
#include "nets/network.h"

#include <stdio.h>

#ifndef HAVE_CUDA
int main(void)
{
    fprintf(stderr, "cudnn_offers: built without CUDA\n");
    return EXIT_USAGE;
}
#else

#include "cuda/cudnn_graph.h"
#include "tests/described_gpu.h"

#include <stdlib.h>

enum { OFFERS = 256, MIB = 1 << 20 };
static const size_t workspace_most = (size_t)1 << 30;

struct question {
    struct cudnn_target target;
    struct cudnn_rules rules;
    int batch;
    cudnnDataType_t type;
};

struct convolution { struct shape in, out; struct conv_args args; };

struct variant { const char *name; enum cudnn_pass pass; bool bias, wide_filter; };

static const struct variant variants[] = {
    { "forward", PASS_FORWARD, false, false },   { "forward + bias", PASS_FORWARD, true, false }, { "data", PASS_DATA, false, false },
    { "filter", PASS_FILTER, false, false },     { "filter to fp32", PASS_FILTER, false, true },
};

static int build(struct cudnn_graph *graph, const struct question *question, const struct convolution *conv, const struct variant *variant, struct error *error)
{
    const int64_t n = question->batch, c = conv->in.c, k = conv->out.c;
    const int64_t x_dims[] = { n, c, conv->in.h, conv->in.w }, w_dims[] = { k, c, conv->args.size, conv->args.size };
    const int64_t y_dims[] = { n, k, conv->out.h, conv->out.w }, b_dims[] = { 1, k, 1, 1 };
    const struct cudnn_window window = { conv->args.stride, conv->args.pad };
    cudnn_graph_begin(graph, question->target);
    const int x = cudnn_graph_tensor(graph, question->type, x_dims), w = cudnn_graph_tensor(graph, variant->wide_filter ? CUDNN_DATA_FLOAT : question->type, w_dims);
    if (!variant->bias) {
        cudnn_graph_convolution(graph, variant->pass, &window, x, w, cudnn_graph_tensor(graph, question->type, y_dims));
        return cudnn_graph_finish(graph, error);
    }
    const int sum = cudnn_graph_virtual(graph, CUDNN_DATA_FLOAT, y_dims), b = cudnn_graph_tensor(graph, question->type, b_dims);
    cudnn_graph_convolution(graph, variant->pass, &window, x, w, sum);
    cudnn_graph_add(graph, sum, b, cudnn_graph_tensor(graph, question->type, y_dims));
    return cudnn_graph_finish(graph, error);
}

/* Engines of all heuristics, each once. */
static int ask(const struct cudnn_graph *graph, const struct cudnn_rules *rules, struct cudnn_engine *engines)
{
    static const cudnnBackendHeurMode_t modes[] = { CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B, CUDNN_HEUR_MODE_FALLBACK };
    struct cudnn_engine *named = malloc(OFFERS * sizeof *named);
    int n = 0;
    for (int m = 0; named && m < 3; m++) {
        const int n_named = cudnn_graph_engines(graph, modes[m], rules, named, OFFERS);
        for (int i = 0; i < n_named; i++) {
            bool known = n == OFFERS;
            for (int j = 0; !known && j < n; j++)
                known = cudnn_engine_same(&named[i], &engines[j]);
            if (!known)
                engines[n++] = named[i];
        }
    }
    free(named);
    return n;
}

static void print_row(const struct cudnn_graph *graph, const struct question *question, const char *what)
{
    static struct cudnn_engine engines[OFFERS];
    const int n = ask(graph, &question->rules, engines);
    size_t first_bytes = 0;
    int plans = 0, first = -1;
    for (int i = 0; i < n; i++) {
        struct cudnn_plan plan;
        struct error refused = { 0 };
        if (cudnn_plan_open(&plan, graph, &engines[i], &refused))
            continue;
        if (plan.workspace_bytes <= workspace_most && plans++ == 0) {
            first = i;
            first_bytes = plan.workspace_bytes;
        }
        cudnn_plan_close(&plan);
    }
    char text[ENGINE_TEXT] = "none";
    if (first >= 0)
        cudnn_engine_write(&engines[first], text);
    printf("  %-16s %4d %4d  %7.1f MiB  %s\n", what, n, plans, (double)first_bytes / MIB, text);
}

static int print_convolution(const struct question *question, const struct convolution *conv, const char *name, struct error *error)
{
    printf("%s: %dx%d, stride %d, %dx%dx%d to %dx%dx%d\n", name, conv->args.size, conv->args.size, conv->args.stride,
           conv->in.c, conv->in.h, conv->in.w, conv->out.c, conv->out.h, conv->out.w);
    for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
        struct cudnn_graph graph;
        if ((variants[v].bias && conv->args.no_bias) || (variants[v].wide_filter && question->type == CUDNN_DATA_FLOAT))
            continue;
        const int result = build(&graph, question, conv, &variants[v], error);
        if (result == 0)
            print_row(&graph, question, variants[v].name);
        cudnn_graph_release(&graph);
        if (result)
            return -1;
    }
    return 0;
}

static bool same(const struct convolution *a, const struct convolution *b)
{
    return a->in.c == b->in.c && a->in.h == b->in.h && a->in.w == b->in.w && a->out.c == b->out.c &&
           a->args.size == b->args.size && a->args.stride == b->args.stride && a->args.pad == b->args.pad;
}

static struct convolution convolution_of(const struct graph *graph, const struct node *node)
{
    return (struct convolution){ graph->nodes[node->inputs[0]].out, node->out, node->args.conv };
}

static int print_network(const struct question *question, const struct graph *graph, struct error *error)
{
    for (int i = 0; i < graph->n_nodes; i++) {
        if (graph->nodes[i].layer != &layer_conv)
            continue;
        const struct convolution conv = convolution_of(graph, &graph->nodes[i]);
        bool seen = false;
        for (int j = 0; j < i; j++) {
            if (graph->nodes[j].layer != &layer_conv)
                continue;
            const struct convolution before = convolution_of(graph, &graph->nodes[j]);
            seen |= same(&before, &conv);
        }
        if (!seen && print_convolution(question, &conv, graph->nodes[i].name, error))
            return -1;
    }
    return 0;
}

static struct network_request request_for(const char *network)
{
    const bool imagenet = strcmp(network, "resnet18") == 0 || strcmp(network, "resnet50") == 0 || strcmp(network, "vgg16-bn") == 0;
    const bool mnist = strncmp(network, "lenet", 5) == 0;
    const int side = imagenet ? 224 : mnist ? 28 : 32;
    return (struct network_request){ .input = { .c = mnist ? 1 : 3, .h = side, .w = side, .std = { 1, 1, 1 } }, .classes = imagenet ? 1000 : 10 };
}

static int report(int argc, char **argv, struct error *error)
{
    const struct described_gpu *gpu = described_gpus;
    struct question question = { .batch = argc > 2 ? atoi(argv[2]) : 0, .type = CUDNN_DATA_FLOAT };
    struct graph graph;
    if (argc < 4 || question.batch < 1)
        return fail(error, EXIT_USAGE, "want: cudnn_offers network batch precision [h100|h200|a100] [deterministic] [tf32]");
    if (strcmp(argv[3], "fp32"))
        question.type = strcmp(argv[3], "bf16") ? CUDNN_DATA_HALF : CUDNN_DATA_BFLOAT16;
    question.rules.strict = question.type == CUDNN_DATA_FLOAT;
    for (int i = 4; i < argc; i++) {
        for (const struct described_gpu *known = described_gpus; known->name; known++)
            if (strcmp(argv[i], known->name) == 0)
                gpu = known;
        question.rules.deterministic |= strcmp(argv[i], "deterministic") == 0;
        question.rules.strict &= strcmp(argv[i], "tf32") != 0;
    }
    if (described_gpu_open(&question.target.properties, gpu))
        return fail(error, EXIT_DEVICE, "cuDNN %zu takes no description of a GPU", cudnnGetVersion());
    const struct network_request request = request_for(argv[1]);
    if (network_build(&graph, argv[1], &request, error))
        return -1;
    printf("%s, batch %d, %s%s%s: cuDNN %zu, described %s\n  %-16s %4s %4s  %11s  %s\n", argv[1], question.batch, argv[3],
           question.rules.deterministic ? ", deterministic" : "", question.type == CUDNN_DATA_FLOAT && !question.rules.strict ? ", TF32" : "", cudnnGetVersion(),
           gpu->board, "pass", "named", "fit", "workspace", "first: engine, knobs");
    const int result = print_network(&question, &graph, error);
    graph_release(&graph);
    cudnnBackendDestroyDescriptor(question.target.properties);
    return result;
}

int main(int argc, char **argv)
{
    struct error error = { 0 };
    if (report(argc, argv, &error) == 0)
        return 0;
    fprintf(stderr, "cudnn_offers: %s\n", error.text);
    return error.code;
}

#endif
