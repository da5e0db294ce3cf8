/* See network.h. */
#include "nets/networks.h"

#include "base/nearest.h"

#include <string.h>

enum { NETWORKS = 14 };

const struct network *const networks[NETWORKS + 1] = {
    &network_mlp, &network_lenet, &network_lenet5, &network_resnet20, &network_resnet32, &network_resnet44, &network_resnet56, &network_resnet110,
    &network_resnet18, &network_resnet34, &network_resnet50, &network_resnet101, &network_resnet152, &network_vgg16_bn,
};

static const struct network *find(const char *name)
{
    for (int i = 0; i < NETWORKS; i++)
        if (strcmp(networks[i]->name, name) == 0)
            return networks[i];
    return NULL;
}

static int unknown(const char *name, struct error *error)
{
    const char *names[NETWORKS + 1] = { NULL };
    for (int i = 0; i < NETWORKS; i++)
        names[i] = networks[i]->name;
    return fail(error, EXIT_USAGE, "unknown network \"%s\"; the nearest is \"%s\"", name, nearest_name(name, names));
}

void network_wants_images(struct graph *graph, const struct network_request *request, int side)
{
    const struct input_args *input = &request->input;
    if (input->h != side || input->w != side)
        fail(&graph->error, EXIT_USAGE, "%s: want images of %d x %d, got %d x %d", graph->name, side, side, input->h, input->w);
}

int network_build(struct graph *graph, const char *name, const struct network_request *request, struct error *error)
{
    memset(graph, 0, sizeof *graph);
    const struct network *network = find(name);
    if (!network)
        return unknown(name, error);
    graph_init(graph, network->name, &request->input);
    if (!graph->error.code)
        network->build(graph, request);
    return graph_finish(graph, error);
}
