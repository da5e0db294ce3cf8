/* LeNet as Caffe's example has it: no nonlinearity but the maximum after the convolutions. */
#include "nets/layers.h"
#include "nets/networks.h"

static void build(struct graph *n, const struct network_request *request)
{
    int x = conv(n, 0, "conv1", &(struct conv_args){ .filters = 20, .size = 5 });
    x = maxpool(n, x, 2, 2);
    x = conv(n, x, "conv2", &(struct conv_args){ .filters = 50, .size = 5 });
    x = maxpool(n, x, 2, 2);
    x = relu(n, linear(n, x, "fc1", 500));
    x = dropout(n, x, request->dropout);
    loss(n, linear(n, x, "fc2", request->classes), request->label_smoothing);
}

const struct network network_lenet = { "lenet", "Caffe's LeNet: 20 and 50 filters 5x5 with max pooling, 500 hidden units, ReLU", build };
