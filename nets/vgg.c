/* VGG-16 with batch normalization (Simonyan and Zisserman, arXiv 1409.1556, configuration D) at 32x32, by torchvision's names.
 *
 * The convolutions are torchvision's vgg16_bn, features.0 to features.41. Five maxima leave one pixel, so the classifier is the one of the usual
 * CIFAR ports, 512-512-512-classes instead of 25088-4096-4096-classes, numbered as torchvision's: classifier.0, .3 and .6, dropout behind the first two. */
#include "nets/layers.h"
#include "nets/networks.h"

#include <stdio.h>

/* Numbers count torchvision's modules: convolution, normalization, ReLU. */
static int conv_bn_relu(struct graph *n, int x, int *number, int filters)
{
    char conv_name[NAME_ROOM], bn_name[NAME_ROOM];
    snprintf(conv_name, sizeof conv_name, "features.%d", *number);
    snprintf(bn_name, sizeof bn_name, "features.%d", *number + 1);
    *number += 3;
    return relu(n, batchnorm(n, conv(n, x, conv_name, &(struct conv_args){ .filters = filters, .size = 3, .pad = 1, .he = true }), bn_name));
}

static void build(struct graph *n, const struct network_request *request)
{
    static const int convolutions[5] = { 2, 2, 3, 3, 3 }, filters[5] = { 64, 128, 256, 512, 512 };
    int x = 0, number = 0;
    network_wants_images(n, request, 32);
    for (int s = 0; s < 5; s++, number++) {
        for (int i = 0; i < convolutions[s]; i++)
            x = conv_bn_relu(n, x, &number, filters[s]);
        x = maxpool(n, x, 2, 2);
    }
    x = dropout(n, relu(n, linear(n, x, "classifier.0", 512)), request->dropout);
    x = dropout(n, relu(n, linear(n, x, "classifier.3", 512)), request->dropout);
    loss(n, linear(n, x, "classifier.6", request->classes), request->label_smoothing);
}

const struct network network_vgg16_bn = { "vgg16-bn", "VGG-16 with batch normalization for 32x32, 512-512 classifier", build };
