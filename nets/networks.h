/* The networks, one file each; network.c lists them. Inside nets/ only. */
#ifndef NETS_NETWORKS_H
#define NETS_NETWORKS_H

#include "nets/network.h"

extern const struct network network_mlp, network_lenet, network_lenet5, network_resnet20, network_resnet32, network_resnet44, network_resnet56, network_resnet110,
    network_resnet18, network_resnet34, network_resnet50, network_resnet101, network_resnet152, network_vgg16_bn;

/* For networks made for one size of image: anything else is an error, which sticks in the graph. */
void network_wants_images(struct graph *graph, const struct network_request *request, int side);

#endif
