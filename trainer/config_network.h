/* The network that a config asks for. */
#ifndef TRAINER_CONFIG_NETWORK_H
#define TRAINER_CONFIG_NETWORK_H

#include "nets/graph.h"
#include "trainer/config.h"

/* Builds it for images of that shape. `place` stands for the config in messages. EXIT_USAGE: an unknown name, a shape or a list that does not fit. Release with
 * graph_release. */
int config_network(struct graph *graph, const struct config *config, const char *place, struct shape input, int classes, struct error *error);

#endif
