/* The table: NHWC on GPUs. See device.h and op.h. */
#include "cuda/cuda.h"
#include "cuda/op.h"

enum { CAPABILITY_FP16 = 70, CAPABILITY_BF16 = 80 }; /* the first whose tensor cores take it; 80 for 8.0 */

/* A GPU that cannot be asked says why to whoever opens it. */
static bool is_older(int gpu, int capability)
{
    int major = 0, minor = 0;
    bool asked = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, gpu) == cudaSuccess && cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, gpu) == cudaSuccess;
    cudaGetLastError();
    return asked && 10 * major + minor < capability;
}

/* All GPUs that this process sees: the program may open any of them. */
static bool offers(enum precision precision)
{
    int gpus = 0, wanted = precision == PRECISION_BF16 ? CAPABILITY_BF16 : precision == PRECISION_FP16 ? CAPABILITY_FP16 : 0;
    cudaError_t status = cudaGetDeviceCount(&gpus);
    cudaGetLastError();
    for (int i = 0; i < gpus && status == cudaSuccess; i++)
        if (is_older(i, wanted))
            return false;
    if (status == cudaErrorNoDevice || status == cudaErrorInsufficientDriver)
        return false;
    return status != cudaSuccess || gpus > 0;
}

const struct backend backend_cuda = {
    .name = "cuda",
    .help = "GPUs: cuDNN, cuBLASLt and our kernels, NHWC",
    .fusions = { .conv_relu = true, .linear_relu = true, .batchnorm_add = true, .batchnorm_relu = true, .add_relu = true },
    .masks = true, .enqueues = true,
    .captures = &cuda_captures,
#ifdef HAVE_NCCL
    .collective = &cuda_nccl,
#endif
    .pack_all = cuda_pack_all,
    .offers = offers,
    .device_open = cuda_device_open,
    .device_close = cuda_device_close,
    .device_second = cuda_device_second,
    .allocate = cuda_allocate,
    .release = cuda_release,
    .allocate_host = cuda_allocate_host,
    .release_host = cuda_release_host,
    .same = cuda_same,
    .reaches = cuda_reaches,
    .upload = cuda_upload,
    .event_open = cuda_event_open,
    .event_close = cuda_event_close,
    .record = cuda_record,
    .wait = cuda_wait,
    .done = cuda_done,
    .finish = cuda_finish,
    .sync = cuda_sync,
    .check = cuda_check,
    .begin = cuda_begin,
    .input = cuda_input,
    .conv = cuda_conv,
    .pool = cuda_pool,
    .linear = cuda_linear,
    .relu = cuda_relu,
    .batchnorm = cuda_batchnorm,
    .add = cuda_add,
    .shortcut = cuda_shortcut,
    .concat = cuda_concat,
    .dropout = cuda_dropout,
    .lrn = cuda_lrn,
    .loss = cuda_loss,
    .accumulate = cuda_accumulate,
    .result = cuda_result,
    .tensor_out = cuda_tensor_out,
    .tensor_in = cuda_tensor_in,
    .copy = cuda_copy,
    .sgd = cuda_sgd,
    .forecast = cuda_forecast,
    .local = cuda_local,
    .predict = cuda_predict,
    .average = cuda_average,
    .square_sum = cuda_square_sum,
};
