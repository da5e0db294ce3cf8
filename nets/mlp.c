/* The smallest network worth training: 784-128-10 on MNIST. */
#include "nets/layers.h"
#include "nets/networks.h"

static void build(struct graph *n, const struct network_request *request)
{
    int x = relu(n, linear(n, 0, "fc1", 128));
    x = dropout(n, x, request->dropout);
    loss(n, linear(n, x, "fc2", request->classes), request->label_smoothing);
}

const struct network network_mlp = { "mlp", "fully connected, 128 hidden units, ReLU", build };
