/* The kernels of pooling. A thread has one pixel of the map that is written, some neighbouring channels of it, and goes through samples: where its windows lie is worked
 * out once. Backward nothing is added in memory: an element of the input looks at the windows that hold it, row by row, so equal runs give equal bits. */
#include "cuda/activations.h"
#include "cuda/element.cuh"

#include <type_traits>

namespace {

constexpr unsigned THREADS = 256, BLOCKS = 8192, ACROSS = 32;

/* Numbers [from, to) along one side. */
struct range { int from, to; };

/* The elements, of n, that window `i` holds. */
static __device__ struct range held_by(int i, int size, const struct pool_pass &pass, int n)
{
    const int first = i * pass.stride - pass.pad;
    const struct range range = { max(first, 0), min(first + size, n) };
    return range;
}

static __device__ struct range rows_of(int window, const struct pool_pass &pass) { return held_by(window, pass.height, pass, pass.in.h); }
static __device__ struct range columns_of(int window, const struct pool_pass &pass) { return held_by(window, pass.width, pass, pass.in.w); }
static __device__ float area(struct range rows, struct range columns) { return (float)((rows.to - rows.from) * (columns.to - columns.from)); }

/* The windows, of n, that hold element `i`. */
static __device__ struct range holding(int i, int size, const struct pool_pass &pass, int n)
{
    const int before = i + pass.pad - size;
    const struct range range = { before < 0 ? 0 : before / pass.stride + 1, min((i + pass.pad) / pass.stride + 1, n) };
    return range;
}

/* A thread's own: the first of its V channels, where in the plane they are, and how far into a sample. */
struct place { int c, x, y; size_t at; };

template <int V> static __device__ bool own_place(struct place *place, struct shape shape)
{
    const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x, vectors = (size_t)(shape.c / V), pixel = i / vectors;
    place->c = (int)(i % vectors) * V;
    place->x = (int)(pixel % (size_t)shape.w);
    place->y = (int)(pixel / (size_t)shape.w);
    place->at = i * V;
    return place->y < shape.h;
}

static __device__ size_t count(struct shape shape) { return (size_t)shape.c * (size_t)shape.h * (size_t)shape.w; }

/* Where the same channels of another pixel begin. */
static __device__ size_t offset(int c, int x, int y, struct shape shape) { return ((size_t)y * (size_t)shape.w + (size_t)x) * (size_t)shape.c + (size_t)c; }

template <typename T, int V> static __device__ void write_rounded(T *to, const float (&values)[V])
{
    several<T, V> rounded;
    for (int v = 0; v < V; v++)
        narrow(&rounded.at[v], values[v]);
    store<T, V>(to, rounded);
}

/* kept: which place of its window, counted as if no border cut it off, holds the first of its maxima; NULL: not kept. A NaN is the maximum, the first of them where there
 * are several. */
template <typename T, int V, typename I> __global__ void take_maxima(T *y, I *kept, const T *x, struct pool_pass pass)
{
    struct place own;
    if (!own_place<V>(&own, pass.out))
        return;
    const struct range rows = rows_of(own.y, pass), columns = columns_of(own.x, pass);
    const int top = own.y * pass.stride - pass.pad, left = own.x * pass.stride - pass.pad;
    for (size_t b = blockIdx.y; b < (size_t)pass.batch; b += gridDim.y) {
        const T *sample = x + b * count(pass.in);
        const size_t to = b * count(pass.out) + own.at;
        float best[V];
        several<I, V> where;
        for (int v = 0; v < V; v++) {
            best[v] = -INFINITY;
            where.at[v] = (I)((rows.from - top) * pass.width + columns.from - left);
        }
        for (int row = rows.from; row < rows.to; row++)
            for (int column = columns.from; column < columns.to; column++) {
                const several<T, V> values = load<T, V>(sample + offset(own.c, column, row, pass.in));
                const I here = (I)((row - top) * pass.width + column - left);
                for (int v = 0; v < V; v++) {
                    const float value = widen(values.at[v]);
                    if (!(value <= best[v]) && best[v] == best[v]) {
                        best[v] = value;
                        where.at[v] = here;
                    }
                }
            }
        write_rounded(y + to, best);
        if (kept)
            store<I, V>(kept + to, where);
    }
}

template <typename T, int V, typename I> __global__ void give_to_maxima(T *dx, const T *dy, const I *kept, struct pool_pass pass)
{
    struct place own;
    if (!own_place<V>(&own, pass.in))
        return;
    const struct range rows = holding(own.y, pass.height, pass, pass.out.h), columns = holding(own.x, pass.width, pass, pass.out.w);
    for (size_t b = blockIdx.y; b < (size_t)pass.batch; b += gridDim.y) {
        float sum[V] = {};
        for (int row = rows.from; row < rows.to; row++)
            for (int column = columns.from; column < columns.to; column++) {
                const size_t from = b * count(pass.out) + offset(own.c, column, row, pass.out);
                const I here = (I)((own.y + pass.pad - row * pass.stride) * pass.width + own.x + pass.pad - column * pass.stride);
                const several<I, V> where = load<I, V>(kept + from);
                const several<T, V> values = load<T, V>(dy + from);
                for (int v = 0; v < V; v++)
                    if (where.at[v] == here)
                        sum[v] += widen(values.at[v]);
            }
        write_rounded(dx + b * count(pass.in) + own.at, sum);
    }
}

template <typename T, int V> __global__ void take_averages(T *y, const T *x, struct pool_pass pass)
{
    struct place own;
    if (!own_place<V>(&own, pass.out))
        return;
    const struct range rows = rows_of(own.y, pass), columns = columns_of(own.x, pass);
    const float n = area(rows, columns);
    for (size_t b = blockIdx.y; b < (size_t)pass.batch; b += gridDim.y) {
        const T *sample = x + b * count(pass.in);
        float sum[V] = {};
        for (int row = rows.from; row < rows.to; row++)
            for (int column = columns.from; column < columns.to; column++) {
                const several<T, V> values = load<T, V>(sample + offset(own.c, column, row, pass.in));
                for (int v = 0; v < V; v++)
                    sum[v] += widen(values.at[v]);
            }
        for (int v = 0; v < V; v++)
            sum[v] /= n;
        write_rounded(y + b * count(pass.out) + own.at, sum);
    }
}

template <typename T, int V> __global__ void spread_averages(T *dx, const T *dy, struct pool_pass pass)
{
    struct place own;
    if (!own_place<V>(&own, pass.in))
        return;
    const struct range rows = holding(own.y, pass.height, pass, pass.out.h), columns = holding(own.x, pass.width, pass, pass.out.w);
    for (size_t b = blockIdx.y; b < (size_t)pass.batch; b += gridDim.y) {
        float sum[V] = {};
        for (int row = rows.from; row < rows.to; row++)
            for (int column = columns.from; column < columns.to; column++) {
                const float n = area(rows_of(row, pass), columns_of(column, pass));
                const several<T, V> values = load<T, V>(dy + b * count(pass.out) + offset(own.c, column, row, pass.out));
                for (int v = 0; v < V; v++)
                    sum[v] += widen(values.at[v]) / n;
            }
        write_rounded(dx + b * count(pass.in) + own.at, sum);
    }
}

/* One window, the whole plane: blocks side by side have a sample's channels, blockDim.x vectors each, and the rows of a block every blockDim.y-th pixel; their sums are
 * added in the rows' order. There are at least V rows, so a thread for every channel. */
template <typename T, int V> __global__ void average_planes(T *y, const T *x, struct pool_pass pass)
{
    __shared__ float sums[THREADS * V];
    const int first = (int)(blockIdx.y * blockDim.x) * V, c = first + (int)threadIdx.x * V;
    const unsigned channels = blockDim.x * V, thread = threadIdx.y * blockDim.x + threadIdx.x;
    const size_t pixels = (size_t)pass.in.h * (size_t)pass.in.w, b = blockIdx.x;
    float sum[V] = {};
    for (size_t i = threadIdx.y; i < pixels && c < pass.in.c; i += blockDim.y) {
        const several<T, V> values = load<T, V>(x + (b * pixels + i) * (size_t)pass.in.c + c);
        for (int v = 0; v < V; v++)
            sum[v] += widen(values.at[v]);
    }
    for (int v = 0; v < V; v++)
        sums[thread * V + v] = sum[v];
    __syncthreads();
    if (thread >= channels || first + (int)thread >= pass.in.c)
        return;
    float all = 0;
    for (unsigned row = 0; row < blockDim.y; row++)
        all += sums[row * channels + thread];
    narrow(&y[b * (size_t)pass.in.c + first + thread], all / (float)pixels);
}

bool is_whole(const struct pool_pass *pass) { return pass->height == pass->in.h && pass->width == pass->in.w && pass->pad == 0; }

/* f is called with how many channels a thread takes, as a type's value: 16 bytes of them, two or one. */
template <typename T, typename F> cudaError_t for_channels(int channels, F f)
{
    constexpr int most = 16 / sizeof(T);
    if (channels % most == 0)
        return f(std::integral_constant<int, most>());
    return channels % 2 == 0 ? f(std::integral_constant<int, 2>()) : f(std::integral_constant<int, 1>());
}

/* f is called with a number of the type in which places of windows are kept. */
template <typename F> cudaError_t for_kept(const struct pool_pass *pass, F f) { return cuda_pool_kept(pass) == sizeof(uint8_t) ? f(uint8_t()) : f(uint32_t()); }

/* A thread for every vector of a sample's map, and as many samples side by side as it takes to fill the GPU. */
struct cut { dim3 grid, block; };

struct cut cut_for(const struct pool_pass *pass, struct shape map, int vector)
{
    const size_t vectors = shape_count(map) / (size_t)vector;
    struct cut cut;
    cut.block = dim3(vectors < THREADS ? ((unsigned)vectors + 31) / 32 * 32 : THREADS);
    cut.grid = dim3(blocks_for(vectors, cut.block.x));
    const unsigned samples = cut.grid.x < BLOCKS ? BLOCKS / cut.grid.x : 1;
    cut.grid.y = samples < (unsigned)pass->batch ? samples : (unsigned)pass->batch;
    return cut;
}

struct cut cut_for_planes(const struct pool_pass *pass, int vector)
{
    const unsigned vectors = (unsigned)(pass->in.c / vector), across = vectors < ACROSS ? vectors : ACROSS;
    return { dim3((unsigned)pass->batch, blocks_for(vectors, across)), dim3(across, THREADS / across) };
}

}

extern "C" cudaError_t cuda_launch_maxima(cudaStream_t stream, enum precision precision, const struct pool_pass *pass, void *y, void *kept, const void *x)
{
    return for_precision(precision, [=](auto zero) {
        using T = decltype(zero);
        return for_channels<T>(pass->in.c, [=](auto vector) {
            return for_kept(pass, [=](auto none) {
                using I = decltype(none);
                const struct cut cut = cut_for(pass, pass->out, vector);
                return launch(take_maxima<T, decltype(vector)::value, I>, cut.grid, cut.block, 0, stream, (T *)y, (I *)kept, (const T *)x, *pass);
            });
        });
    });
}

extern "C" cudaError_t cuda_launch_maxima_back(cudaStream_t stream, enum precision precision, const struct pool_pass *pass, void *dx, const void *dy, const void *kept)
{
    return for_precision(precision, [=](auto zero) {
        using T = decltype(zero);
        return for_channels<T>(pass->in.c, [=](auto vector) {
            return for_kept(pass, [=](auto none) {
                using I = decltype(none);
                const struct cut cut = cut_for(pass, pass->in, vector);
                return launch(give_to_maxima<T, decltype(vector)::value, I>, cut.grid, cut.block, 0, stream, (T *)dx, (const T *)dy, (const I *)kept, *pass);
            });
        });
    });
}

extern "C" cudaError_t cuda_launch_averages(cudaStream_t stream, enum precision precision, const struct pool_pass *pass, void *y, const void *x)
{
    return for_precision(precision, [=](auto zero) {
        using T = decltype(zero);
        return for_channels<T>(pass->in.c, [=](auto vector) {
            constexpr int V = decltype(vector)::value;
            const bool whole = is_whole(pass);
            const struct cut cut = whole ? cut_for_planes(pass, V) : cut_for(pass, pass->out, V);
            return launch(whole ? average_planes<T, V> : take_averages<T, V>, cut.grid, cut.block, 0, stream, (T *)y, (const T *)x, *pass);
        });
    });
}

extern "C" cudaError_t cuda_launch_averages_back(cudaStream_t stream, enum precision precision, const struct pool_pass *pass, void *dx, const void *dy)
{
    return for_precision(precision, [=](auto zero) {
        using T = decltype(zero);
        return for_channels<T>(pass->in.c, [=](auto vector) {
            const struct cut cut = cut_for(pass, pass->in, vector);
            return launch(spread_averages<T, decltype(vector)::value>, cut.grid, cut.block, 0, stream, (T *)dx, (const T *)dy, *pass);
        });
    });
}
