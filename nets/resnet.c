/* Residual networks of basic blocks (He et al., arXiv 1512.03385), by torchvision's names: conv1, bn1, layer1.0.conv1, ..., fc.
 *
 * resnet20 to resnet110 are those of section 4.2, for CIFAR: a 3x3 convolution, three stages of n blocks with 16, 32 and 64 filters, 6n + 2
 * layers with weights. Any image will do, since the last average is over the whole plane. resnet18 and resnet34 are the ImageNet ones as ports
 * to 32x32 have them: the first convolution is 3x3 with stride 1, and no maximum follows it.
 *
 * Where the shape changes, the shortcut is section 4.2's option A by default in the former, B in the latter, as in torchvision. Filters start as
 * He et al. have it (arXiv 1502.01852), with the variance that keeps a forward pass level. */
#include "nets/layers.h"
#include "nets/networks.h"

#include <stdio.h>

struct resnet { int stages, blocks[4], width; bool projection; /* option B */ };

struct basic_block { const char *name; int filters, stride; bool projection; };

/* A convolution without bias, because the normalization has one. `prefix` ends with a dot or is empty. */
static int conv_bn(struct graph *n, int x, const char *prefix, const char *const names[2], struct conv_args args)
{
    char conv_name[NAME_ROOM], bn_name[NAME_ROOM];
    snprintf(conv_name, sizeof conv_name, "%s%s", prefix, names[0]);
    snprintf(bn_name, sizeof bn_name, "%s%s", prefix, names[1]);
    args.pad = args.size / 2;
    args.no_bias = args.he = true;
    return batchnorm(n, conv(n, x, conv_name, &args), bn_name);
}

/* The shortcut stands before the branch, so that a plan can add it to what the branch's last normalization makes. */
static int basic_block(struct graph *n, int x, const struct basic_block *block)
{
    static const char *const first[] = { "conv1", "bn1" }, *const second[] = { "conv2", "bn2" }, *const projection[] = { "downsample.0", "downsample.1" };
    const int filters = block->filters, stride = block->stride;
    int across = x, y;
    if (stride > 1 || n->nodes[x].out.c != filters)
        across = block->projection ? conv_bn(n, x, block->name, projection, (struct conv_args){ .filters = filters, .size = 1, .stride = stride })
                                   : shortcut(n, x, filters, stride);
    y = relu(n, conv_bn(n, x, block->name, first, (struct conv_args){ .filters = filters, .size = 3, .stride = stride }));
    y = conv_bn(n, y, block->name, second, (struct conv_args){ .filters = filters, .size = 3 });
    return relu(n, add(n, y, across));
}

static void build(struct graph *n, const struct network_request *request, const struct resnet *net)
{
    static const char *const stem[] = { "conv1", "bn1" };
    const bool projection = request->shortcut == SHORTCUT_AUTO ? net->projection : request->shortcut == SHORTCUT_B;
    int x = relu(n, conv_bn(n, 0, "", stem, (struct conv_args){ .filters = net->width, .size = 3 }));
    for (int s = 0; s < net->stages; s++)
        for (int b = 0; b < net->blocks[s]; b++) {
            char name[32];
            snprintf(name, sizeof name, "layer%d.%d.", s + 1, b);
            x = basic_block(n, x, &(struct basic_block){ name, net->width << s, s > 0 && b == 0 ? 2 : 1, projection });
        }
    loss(n, linear(n, global_avgpool(n, x), "fc", request->classes), request->label_smoothing);
}

static void cifar(struct graph *n, const struct network_request *request, int blocks)
{
    build(n, request, &(struct resnet){ .stages = 3, .blocks = { blocks, blocks, blocks }, .width = 16 });
}

static void build20(struct graph *n, const struct network_request *request) { cifar(n, request, 3); }
static void build32(struct graph *n, const struct network_request *request) { cifar(n, request, 5); }
static void build44(struct graph *n, const struct network_request *request) { cifar(n, request, 7); }
static void build56(struct graph *n, const struct network_request *request) { cifar(n, request, 9); }
static void build110(struct graph *n, const struct network_request *request) { cifar(n, request, 18); }

static void build18(struct graph *n, const struct network_request *request)
{
    network_wants_images(n, request, 32);
    build(n, request, &(struct resnet){ .stages = 4, .blocks = { 2, 2, 2, 2 }, .width = 64, .projection = true });
}

static void build34(struct graph *n, const struct network_request *request)
{
    network_wants_images(n, request, 32);
    build(n, request, &(struct resnet){ .stages = 4, .blocks = { 3, 4, 6, 3 }, .width = 64, .projection = true });
}

const struct network network_resnet20 = { "resnet20", "the ResNet paper's for CIFAR: 3 stages of 3 blocks, 16 to 64 filters", build20 };
const struct network network_resnet32 = { "resnet32", "the same, 3 stages of 5 blocks", build32 };
const struct network network_resnet44 = { "resnet44", "the same, 3 stages of 7 blocks", build44 };
const struct network network_resnet56 = { "resnet56", "the same, 3 stages of 9 blocks", build56 };
const struct network network_resnet110 = { "resnet110", "the same, 3 stages of 18 blocks", build110 };
const struct network network_resnet18 = { "resnet18", "ResNet-18 for 32x32: 3x3 first, no max pooling", build18 };
const struct network network_resnet34 = { "resnet34", "ResNet-34 for 32x32: 3x3 first, no max pooling", build34 };
