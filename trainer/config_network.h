/* The network that a config asks for. */
#ifndef TRAINER_CONFIG_NETWORK_H
#define TRAINER_CONFIG_NETWORK_H

#include "nets/graph.h"
#include "trainer/config.h"

/* What it is built for. augments: its first operation crops, flips and cuts, in training. */
struct config_input { struct shape shape; int classes; bool augments; };

/* Builds it for such images. `place` stands for the config in messages. EXIT_USAGE: an unknown name, a shape or a list that does not fit. Release with
 * graph_release. */
int config_network(struct graph *graph, const struct config *config, const char *place, const struct config_input *input, struct error *error);

#endif
