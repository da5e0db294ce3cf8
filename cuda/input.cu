/* The batch's 8-bit planes to normalized activations, a pixel with all its channels to a thread; on the way, crop, flip and cutout as data/augment.h says. */
#include "base/augmentation.h"
#include "cuda/activations.h"
#include "cuda/element.cuh"

namespace {

enum { THREADS = 256 };

struct pixel { int y, x; };

/* Whether a pixel of the augmented image lies in the square that was cut out. */
static __device__ bool is_cut(struct pixel at, const struct augmentation *drawn, int side)
{
    const int top = drawn->row - side / 2, left = drawn->column - side / 2;
    return at.y >= top && at.y < top + side && at.x >= left && at.x < left + side;
}

/* Where it comes from; black where that is outside of the image. */
static __device__ struct pixel source_of(struct pixel at, const struct augmentation *drawn, int width)
{
    const struct pixel from = { at.y + drawn->down, (drawn->flipped ? width - 1 - at.x : at.x) + drawn->right };
    return from;
}

template <typename T> static __device__ void normalize(T *y, uint8_t byte, int c, const struct input_args *args)
{
    narrow(&y[c], ((float)byte / 255 - args->mean[c]) / args->std[c]);
}

template <typename T> __global__ void plain(T *y, const uint8_t *pixels, size_t n, struct input_args args)
{
    const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x, plane = (size_t)args.h * (size_t)args.w;
    if (i >= n)
        return;
    const uint8_t *image = pixels + i / plane * plane * (size_t)args.c;
    for (int c = 0; c < args.c; c++)
        normalize(y + i * (size_t)args.c, image[(size_t)c * plane + i % plane], c, &args);
}

template <typename T> __global__ void augmented(T *y, const uint8_t *pixels, const int64_t *index, const struct step_values *values, size_t n, struct input_args args)
{
    const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x, plane = (size_t)args.h * (size_t)args.w;
    if (i >= n)
        return;
    const struct augmentation_space space = { args.h, args.w, args.augment.crop_pad, args.augment.flip };
    const struct augmentation drawn = augmentation_draw(&space, values->seed, values->epoch, index[i / plane]);
    const struct pixel at = { (int)(i % plane) / args.w, (int)(i % plane) % args.w }, from = source_of(at, &drawn, args.w);
    const bool cut = is_cut(at, &drawn, args.augment.cutout), inside = from.y >= 0 && from.y < args.h && from.x >= 0 && from.x < args.w;
    const uint8_t *image = pixels + i / plane * plane * (size_t)args.c;
    for (int c = 0; c < args.c; c++) {
        const uint8_t byte = cut ? args.augment.fill[c] : inside ? image[(size_t)c * plane + (size_t)from.y * (size_t)args.w + (size_t)from.x] : 0;
        normalize(y + i * (size_t)args.c, byte, c, &args);
    }
}

}

extern "C" cudaError_t cuda_launch_input(cudaStream_t stream, enum precision precision, int batch, void *y, const uint8_t *pixels, const int64_t *index,
                                         const struct step_values *values, const struct input_args *args)
{
    const size_t n = (size_t)batch * (size_t)args->h * (size_t)args->w;
    return for_precision(precision, [=](auto zero) {
        using T = decltype(zero);
        if (index)
            return launch(augmented<T>, blocks_for(n, THREADS), THREADS, 0, stream, (T *)y, pixels, index, values, n, *args);
        return launch(plain<T>, blocks_for(n, THREADS), THREADS, 0, stream, (T *)y, pixels, n, *args);
    });
}
