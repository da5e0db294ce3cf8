/* The residual networks for CIFAR (He et al., arXiv 1512.03385, section 4.2): a 3x3 convolution, three stages of n basic blocks with 16, 32 and 64 filters,
 * 6n + 2 layers with weights. Shortcuts are option A by default. Any image will do, since the last average is over the whole plane. */
#include "nets/layers.h"
#include "nets/networks.h"
#include "nets/residual.h"

static void build(struct graph *n, const struct network_request *request, int blocks)
{
    int x = relu(n, conv_bn(n, 0, "", &(struct conv_bn){ "conv1", "bn1", .filters = 16, .size = 3 }));
    residual_build(n, x, request, &(struct residual_net){ .block = basic_block, .stages = 3, .blocks = { blocks, blocks, blocks }, .width = 16 });
}

static void build20(struct graph *n, const struct network_request *request) { build(n, request, 3); }
static void build32(struct graph *n, const struct network_request *request) { build(n, request, 5); }
static void build44(struct graph *n, const struct network_request *request) { build(n, request, 7); }
static void build56(struct graph *n, const struct network_request *request) { build(n, request, 9); }
static void build110(struct graph *n, const struct network_request *request) { build(n, request, 18); }

const struct network network_resnet20 = { "resnet20", "the ResNet paper's for CIFAR: 3 stages of 3 blocks, 16 to 64 filters", build20 };
const struct network network_resnet32 = { "resnet32", "the same, 3 stages of 5 blocks", build32 };
const struct network network_resnet44 = { "resnet44", "the same, 3 stages of 7 blocks", build44 };
const struct network network_resnet56 = { "resnet56", "the same, 3 stages of 9 blocks", build56 };
const struct network network_resnet110 = { "resnet110", "the same, 3 stages of 18 blocks", build110 };
