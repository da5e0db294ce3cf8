/* LeNet-5's shape (LeCun, Bottou, Bengio, Haffner 1998) with ReLU for tanh, max for scaled average pooling, and full connections between the maps. */
#include "nets/layers.h"
#include "nets/networks.h"

static void build(struct graph *n, const struct network_request *request)
{
    int x = relu(n, conv(n, 0, "conv1", &(struct conv_args){ .filters = 6, .size = 5, .pad = 2 }));
    x = maxpool(n, x, 2, 2);
    x = relu(n, conv(n, x, "conv2", &(struct conv_args){ .filters = 16, .size = 5 }));
    x = maxpool(n, x, 2, 2);
    x = relu(n, linear(n, x, "fc1", 120));
    x = relu(n, linear(n, x, "fc2", 84));
    x = dropout(n, x, request->dropout);
    loss(n, linear(n, x, "fc3", request->classes), request->label_smoothing);
}

const struct network network_lenet5 = { "lenet5", "LeCun's LeNet-5 in shape (6 and 16 filters 5x5, 120, 84), but with ReLU and max pooling", build };
