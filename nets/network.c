/* See network.h. */
#include "nets/networks.h"

#include "base/nearest.h"

#include <string.h>

enum { NETWORKS = 3 };

const struct network *const networks[NETWORKS + 1] = { &network_mlp, &network_lenet, &network_lenet5 };

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
