/* The networks, one file each; network.c lists them. Inside nets/ only. */
#ifndef NETS_NETWORKS_H
#define NETS_NETWORKS_H

#include "nets/network.h"

extern const struct network network_mlp, network_lenet, network_lenet5;

#endif
