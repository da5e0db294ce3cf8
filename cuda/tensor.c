/* Activations from and to fp32 [B][C][H][W] in the host's memory, for tests and for predictions; and the sum of two gradients. */
#include "cuda/activations.h"
#include "cuda/op.h"

void cuda_accumulate(struct device *device, const struct tensor *to, const struct tensor *from)
{
    cuda_use(device);
    cuda_fail(device, cuda_launch_add(device->stream, to->precision, cuda_elements(to), to->gradient, to->gradient, from->gradient), "adding gradients");
}

static void *values(const struct tensor *tensor, bool gradient) { return gradient ? tensor->gradient : tensor->data; }

/* A copy in the GPU's memory as fp32; the failure stays with the device. */
static float *open_copy(struct device *device, const struct tensor *tensor)
{
    struct error error = { 0 };
    void *block;
    if (cuda_allocate(device, &block, cuda_elements(tensor) * sizeof(float), "a tensor's copy", &error)) {
        cuda_fail_error(device, &error);
        return NULL;
    }
    return block;
}

void cuda_tensor_out(struct device *device, const struct tensor *tensor, bool gradient, float *nchw)
{
    const size_t bytes = cuda_elements(tensor) * sizeof(float);
    float *copy = open_copy(device, tensor);
    if (!copy)
        return;
    cuda_fail(device, cuda_launch_to_nchw(device->stream, tensor->precision, tensor->batch, tensor->shape, copy, values(tensor, gradient)), "converting a tensor");
    cuda_fail(device, cudaMemcpyAsync(nchw, copy, bytes, cudaMemcpyDeviceToHost, device->stream), "copying a tensor");
    cuda_fail(device, cudaStreamSynchronize(device->stream), "copying a tensor");
    cuda_release(device, copy);
}

void cuda_tensor_in(struct device *device, const struct tensor *tensor, bool gradient, const float *nchw)
{
    const size_t bytes = cuda_elements(tensor) * sizeof(float);
    float *copy = open_copy(device, tensor);
    if (!copy)
        return;
    cuda_fail(device, cudaMemcpyAsync(copy, nchw, bytes, cudaMemcpyHostToDevice, device->stream), "copying a tensor");
    cuda_fail(device, cuda_launch_from_nchw(device->stream, tensor->precision, tensor->batch, tensor->shape, values(tensor, gradient), copy), "converting a tensor");
    cuda_fail(device, cudaStreamSynchronize(device->stream), "converting a tensor");
    cuda_release(device, copy);
}
