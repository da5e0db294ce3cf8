/* Kernels that move elements and compute nothing: between ranges of channels, for the shortcut without parameters, and from and to fp32 [B][C][H][W].
 *
 * Where every border lies at a multiple of 16 bytes they move 16 at a time, so they see units of 16 bytes, of 4, or single elements. */
#include "cuda/activations.h"
#include "cuda/element.cuh"

namespace {

enum { THREADS = 256 };

template <typename F> cudaError_t for_unit(size_t bytes, F f)
{
    if (bytes % sizeof(uint4) == 0)
        return f(uint4());
    return bytes % sizeof(uint32_t) == 0 ? f(uint32_t()) : f(uint16_t());
}

size_t element_bytes(enum precision precision) { return precision == PRECISION_FP32 ? sizeof(float) : sizeof(uint16_t); }

/* In units. */
template <typename U> __global__ void move_channels(U *to, const U *from, size_t rows, struct channel_move move)
{
    const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x, row = i / (size_t)move.width;
    if (row < rows)
        to[row * (size_t)move.to_channels + (size_t)move.at + i % (size_t)move.width] = from[row * (size_t)move.from_channels + (size_t)move.from_at + i % (size_t)move.width];
}

struct place { size_t b; int y, x, c; };

static __device__ struct place place_of(size_t i, struct shape shape)
{
    struct place place;
    place.c = (int)(i % (size_t)shape.c);
    place.x = (int)(i / (size_t)shape.c % (size_t)shape.w);
    place.y = (int)(i / (size_t)shape.c / (size_t)shape.w % (size_t)shape.h);
    place.b = i / (size_t)shape.c / (size_t)shape.w / (size_t)shape.h;
    return place;
}

static __device__ size_t index_of(struct place place, struct shape shape)
{
    return ((place.b * (size_t)shape.h + (size_t)place.y) * (size_t)shape.w + (size_t)place.x) * (size_t)shape.c + (size_t)place.c;
}

template <typename U> __global__ void take_strided(U *y, const U *x, struct shortcut_move move)
{
    const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    struct place place = place_of(i, move.out);
    if (place.b >= (size_t)move.batch)
        return;
    place.y *= move.stride;
    place.x *= move.stride;
    place.c -= move.front;
    y[i] = place.c >= 0 && place.c < move.in.c ? x[index_of(place, move.in)] : U();
}

template <typename U> __global__ void give_strided(U *dx, const U *dy, struct shortcut_move move)
{
    const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    struct place place = place_of(i, move.in);
    if (place.b >= (size_t)move.batch)
        return;
    const bool taken = place.y % move.stride == 0 && place.x % move.stride == 0;
    place.y /= move.stride;
    place.x /= move.stride;
    place.c += move.front;
    dx[i] = taken ? dy[index_of(place, move.out)] : U();
}

struct shortcut_move in_units(const struct shortcut_move *move, size_t elements)
{
    struct shortcut_move units = *move;
    units.front /= (int)elements;
    units.in.c /= (int)elements;
    units.out.c /= (int)elements;
    return units;
}

template <typename T> __global__ void to_planes(float *nchw, const T *nhwc, int batch, struct shape shape)
{
    const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    const struct place place = place_of(i, shape);
    if (place.b < (size_t)batch)
        nchw[((place.b * (size_t)shape.c + (size_t)place.c) * (size_t)shape.h + (size_t)place.y) * (size_t)shape.w + (size_t)place.x] = widen(nhwc[i]);
}

template <typename T> __global__ void from_planes(T *nhwc, const float *nchw, int batch, struct shape shape)
{
    const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    const struct place place = place_of(i, shape);
    if (place.b < (size_t)batch)
        narrow(&nhwc[i], nchw[((place.b * (size_t)shape.c + (size_t)place.c) * (size_t)shape.h + (size_t)place.y) * (size_t)shape.w + (size_t)place.x]);
}

}

extern "C" cudaError_t cuda_launch_channels(cudaStream_t stream, enum precision precision, size_t rows, void *to, const void *from, const struct channel_move *move)
{
    const size_t element = element_bytes(precision);
    return for_unit((size_t)(move->to_channels | move->at | move->from_channels | move->from_at | move->width) * element, [=](auto zero) {
        using U = decltype(zero);
        const int elements = (int)(sizeof(U) / element);
        const struct channel_move units = { move->to_channels / elements, move->at / elements, move->from_channels / elements, move->from_at / elements, move->width / elements };
        return launch(move_channels<U>, blocks_for(rows * (size_t)units.width, THREADS), THREADS, 0, stream, (U *)to, (const U *)from, rows, units);
    });
}

extern "C" cudaError_t cuda_launch_shortcut(cudaStream_t stream, enum precision precision, void *y, const void *x, const struct shortcut_move *move)
{
    return for_unit((size_t)(move->in.c | move->out.c | move->front) * element_bytes(precision), [=](auto zero) {
        using U = decltype(zero);
        const struct shortcut_move units = in_units(move, sizeof(U) / element_bytes(precision));
        return launch(take_strided<U>, blocks_for((size_t)move->batch * shape_count(units.out), THREADS), THREADS, 0, stream, (U *)y, (const U *)x, units);
    });
}

extern "C" cudaError_t cuda_launch_shortcut_back(cudaStream_t stream, enum precision precision, void *dx, const void *dy, const struct shortcut_move *move)
{
    return for_unit((size_t)(move->in.c | move->out.c | move->front) * element_bytes(precision), [=](auto zero) {
        using U = decltype(zero);
        const struct shortcut_move units = in_units(move, sizeof(U) / element_bytes(precision));
        return launch(give_strided<U>, blocks_for((size_t)move->batch * shape_count(units.in), THREADS), THREADS, 0, stream, (U *)dx, (const U *)dy, units);
    });
}

extern "C" cudaError_t cuda_launch_to_nchw(cudaStream_t stream, enum precision precision, int batch, struct shape shape, float *nchw, const void *nhwc)
{
    return for_precision(precision, [=](auto zero) {
        using T = decltype(zero);
        return launch(to_planes<T>, blocks_for((size_t)batch * shape_count(shape), THREADS), THREADS, 0, stream, nchw, (const T *)nhwc, batch, shape);
    });
}

extern "C" cudaError_t cuda_launch_from_nchw(cudaStream_t stream, enum precision precision, int batch, struct shape shape, void *nhwc, const float *nchw)
{
    return for_precision(precision, [=](auto zero) {
        using T = decltype(zero);
        return launch(from_planes<T>, blocks_for((size_t)batch * shape_count(shape), THREADS), THREADS, 0, stream, (T *)nhwc, nchw, batch, shape);
    });
}
