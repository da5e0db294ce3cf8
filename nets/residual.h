/* What residual networks are made of (He et al., arXiv 1512.03385), by torchvision's names: layer1.0.conv1, layer1.0.bn1, ..., fc. Inside nets/ only. */
#ifndef NETS_RESIDUAL_H
#define NETS_RESIDUAL_H

#include "nets/network.h"

/* A convolution without bias, because the normalization behind it has one. */
struct conv_bn {
    const char *conv, *bn;
    int filters, size, stride; /* stride 0: 1 */
    bool zero;                 /* the normalization starts at 0 */
};

/* `prefix` stands before both names; it ends with a dot or is empty. */
int conv_bn(struct graph *n, int x, const char *prefix, const struct conv_bn *layer);

struct residual_block {
    const char *prefix; /* "layer1.0." */
    int width, stride;  /* filters and stride of its 3x3 convolutions; only one of them has a stride above 1 */
    bool projection;    /* where the shape changes, a 1x1 convolution (option B); else every stride-th pixel, and zeros for new channels (option A) */
    bool zero;          /* its last normalization starts at 0, so that it starts as its shortcut (Goyal et al., arXiv 1706.02677, section 5.1) */
};

/* Figure 5, left: 3x3 and 3x3. */
int basic_block(struct graph *n, int x, const struct residual_block *block);

/* Figure 5, right: 1x1, 3x3, and 1x1 with four times the filters. The paper has the stride in the first 1x1, torchvision and we have it in the 3x3. */
int bottleneck(struct graph *n, int x, const struct residual_block *block);

/* Stages of blocks: from one to the next the width doubles and the plane halves. */
struct residual_net {
    int (*block)(struct graph *n, int x, const struct residual_block *block);
    int stages, blocks[4], width;
    bool projection; /* unless the request says otherwise */
};

/* All that follows the first layers: the stages, the average over the plane, fc and the loss. */
void residual_build(struct graph *n, int x, const struct network_request *request, const struct residual_net *net);

#endif
