/* How cuDNN calls the elements of a precision. Inside cuda/ only. */
#ifndef CUDA_CUDNN_TYPE_H
#define CUDA_CUDNN_TYPE_H

#include "nets/backend.h"

#include <cudnn.h>

static inline cudnnDataType_t cudnn_type(enum precision precision)
{
    switch (precision) {
    case PRECISION_BF16: return CUDNN_DATA_BFLOAT16;
    case PRECISION_FP16: return CUDNN_DATA_HALF;
    default: return CUDNN_DATA_FLOAT;
    }
}

#endif
