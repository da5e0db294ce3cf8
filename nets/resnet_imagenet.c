/* The residual networks for ImageNet (He et al., arXiv 1512.03385, table 1), as torchvision has them: four stages, the first of 64 filters, shortcuts of option B.
 *
 * The stem is the paper's: 7x7 with stride 2, then a maximum over 3x3 with stride 2, which leave a quarter of each side. Of an image below 64 pixels too little would be
 * left for four stages, so it gets the stem of the usual ports to CIFAR: 3x3 with stride 1. */
#include "nets/layers.h"
#include "nets/networks.h"
#include "nets/residual.h"

static bool is_small(const struct input_args *input) { return input->h < 64 || input->w < 64; }

static int stem(struct graph *n, const struct network_request *request)
{
    if (request->stem == STEM_CIFAR || (request->stem == STEM_AUTO && is_small(&request->input)))
        return relu(n, conv_bn(n, 0, "", &(struct conv_bn){ "conv1", "bn1", .filters = 64, .size = 3 }));
    int x = relu(n, conv_bn(n, 0, "", &(struct conv_bn){ "conv1", "bn1", .filters = 64, .size = 7, .stride = 2 }));
    return pool(n, x, &(struct pool_args){ .kind = POOL_MAX, .size = 3, .stride = 2, .pad = 1 });
}

static void build(struct graph *n, const struct network_request *request, const struct residual_net *net) { residual_build(n, stem(n, request), request, net); }

static const struct residual_net
    net18  = { basic_block, 4, { 2, 2,  2, 2 }, 64, true },
    net34  = { basic_block, 4, { 3, 4,  6, 3 }, 64, true },
    net50  = { bottleneck,  4, { 3, 4,  6, 3 }, 64, true },
    net101 = { bottleneck,  4, { 3, 4, 23, 3 }, 64, true },
    net152 = { bottleneck,  4, { 3, 8, 36, 3 }, 64, true };

static void build18(struct graph *n, const struct network_request *request) { build(n, request, &net18); }
static void build34(struct graph *n, const struct network_request *request) { build(n, request, &net34); }
static void build50(struct graph *n, const struct network_request *request) { build(n, request, &net50); }
static void build101(struct graph *n, const struct network_request *request) { build(n, request, &net101); }
static void build152(struct graph *n, const struct network_request *request) { build(n, request, &net152); }

const struct network network_resnet18 = { "resnet18", "the ResNet paper's for ImageNet: 8 basic blocks, 64 to 512 filters; below 64x64 with a 3x3 stem", build18 };
const struct network network_resnet34 = { "resnet34", "the same, 16 basic blocks", build34 };
const struct network network_resnet50 = { "resnet50", "the same, 16 bottlenecks, stride in the 3x3", build50 };
const struct network network_resnet101 = { "resnet101", "the same, 33 bottlenecks", build101 };
const struct network network_resnet152 = { "resnet152", "the same, 50 bottlenecks", build152 };
