/* A convolution and a pool that the kernel does not take from its registers, as one operation. */
#ifndef CPU_LANES_CHAIN_H
#define CPU_LANES_CHAIN_H

#include "nets/backend.h"

int lanes_conv_then_pool(struct op **op, const struct op_request *request, const struct conv_args *args, struct error *error);

#endif
