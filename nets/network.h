/* Networks by name. One file per network; each is a const struct. */
#ifndef NETS_NETWORK_H
#define NETS_NETWORK_H

#include "nets/graph.h"

/* Residual networks, where the shape changes: the network's own way; zeros for the new channels; a 1x1 convolution. */
enum shortcut_choice { SHORTCUT_AUTO, SHORTCUT_A, SHORTCUT_B };

/* ImageNet's residual networks, in front of the stages: by the image's size; 3x3; 7x7 and a maximum, both of stride 2. */
enum stem_choice { STEM_AUTO, STEM_CIFAR, STEM_IMAGENET };

/* What a network is built for. */
struct network_request {
    struct input_args input; /* the dataset's shape and normalization */
    int classes;
    float dropout;           /* for networks that have it */
    float label_smoothing;
    enum shortcut_choice shortcut;
    enum stem_choice stem;
    bool zero_init;          /* residual blocks start as their shortcuts */
};

struct network {
    const char *name;
    const char *help; /* one line: shape and source */
    void (*build)(struct graph *graph, const struct network_request *request);
};

/* All of them, ended by NULL. */
extern const struct network *const networks[];

/* Builds and finishes the graph. EXIT_USAGE: unknown name (with the nearest), or a shape that does not fit. Release with graph_release. */
int network_build(struct graph *graph, const char *name, const struct network_request *request, struct error *error);

#endif
