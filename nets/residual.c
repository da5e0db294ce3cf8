/* See residual.h. Filters start as He et al. have it (arXiv 1502.01852), with the variance that keeps a forward pass level. */
#include "nets/residual.h"

#include "nets/layers.h"

#include <stdio.h>

int conv_bn(struct graph *n, int x, const char *prefix, const struct conv_bn *layer)
{
    const struct conv_args args = { .filters = layer->filters, .size = layer->size, .stride = layer->stride, .pad = layer->size / 2, .no_bias = true, .he = true };
    char name[NAME_ROOM];
    snprintf(name, sizeof name, "%s%s", prefix, layer->conv);
    x = conv(n, x, name, &args);
    snprintf(name, sizeof name, "%s%s", prefix, layer->bn);
    return layer->zero ? batchnorm_from_zero(n, x, name) : batchnorm(n, x, name);
}

/* It stands before the branch, so that a plan can add it to what the branch's last normalization makes. */
static int across(struct graph *n, int x, const struct residual_block *block, int filters)
{
    if (block->stride == 1 && n->nodes[x].out.c == filters)
        return x;
    if (!block->projection)
        return shortcut(n, x, filters, block->stride);
    return conv_bn(n, x, block->prefix, &(struct conv_bn){ "downsample.0", "downsample.1", .filters = filters, .size = 1, .stride = block->stride });
}

int basic_block(struct graph *n, int x, const struct residual_block *block)
{
    const int width = block->width, around = across(n, x, block, width);
    x = relu(n, conv_bn(n, x, block->prefix, &(struct conv_bn){ "conv1", "bn1", .filters = width, .size = 3, .stride = block->stride }));
    x = conv_bn(n, x, block->prefix, &(struct conv_bn){ "conv2", "bn2", .filters = width, .size = 3, .zero = block->zero });
    return relu(n, add(n, x, around));
}

int bottleneck(struct graph *n, int x, const struct residual_block *block)
{
    const int width = block->width, around = across(n, x, block, 4 * width);
    x = relu(n, conv_bn(n, x, block->prefix, &(struct conv_bn){ "conv1", "bn1", .filters = width, .size = 1 }));
    x = relu(n, conv_bn(n, x, block->prefix, &(struct conv_bn){ "conv2", "bn2", .filters = width, .size = 3, .stride = block->stride }));
    x = conv_bn(n, x, block->prefix, &(struct conv_bn){ "conv3", "bn3", .filters = 4 * width, .size = 1, .zero = block->zero });
    return relu(n, add(n, x, around));
}

void residual_build(struct graph *n, int x, const struct network_request *request, const struct residual_net *net)
{
    const bool projection = request->shortcut == SHORTCUT_AUTO ? net->projection : request->shortcut == SHORTCUT_B;
    for (int s = 0; s < net->stages; s++)
        for (int b = 0; b < net->blocks[s]; b++) {
            char prefix[32];
            snprintf(prefix, sizeof prefix, "layer%d.%d.", s + 1, b);
            x = net->block(n, x, &(struct residual_block){ prefix, net->width << s, s > 0 && b == 0 ? 2 : 1, projection, request->zero_init });
        }
    loss(n, linear(n, global_avgpool(n, x), "fc", request->classes), request->label_smoothing);
}
