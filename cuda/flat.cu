// The elementwise passes over flat vectors (nets/backend.h defines them). Every element goes through the operations of cpu/flat.c in their order, so the bits are the same; a
// pass reads and writes each vector once, four elements at a time where all are aligned. Whether a vector is there is the same for all elements: no thread goes its own way.
#include "cuda/element.cuh"
#include "cuda/flat.h"

namespace {

enum { THREADS = 256 };

template <int V> using floats = several<float, V>;

template <typename Pass> __global__ void over(Pass pass, flat_span span)
{
    const size_t first = (size_t)blockIdx.x * blockDim.x + threadIdx.x, stride = (size_t)gridDim.x * blockDim.x, in_fours = 4 * span.fours;
    for (size_t i = first; i < span.fours; i += stride)
        pass.template run<4>(span.head + 4 * i);
    for (size_t i = first; i < span.n - in_fours; i += stride)
        pass.template run<1>(i < span.head ? i : i + in_fours);
}

template <int V> __device__ inline floats<V> summed(const flat_sum &sum, size_t i)
{
    floats<V> g = load<float, V>(sum.gradients[0] + i);
    for (int k = 1; k < sum.k; k++) {
        const floats<V> more = load<float, V>(sum.gradients[k] + i);
        for (int v = 0; v < V; v++)
            g.at[v] += more.at[v];
    }
    for (int v = 0; v < V; v++)
        g.at[v] *= sum.inv_k;
    return g;
}

template <int V> __device__ inline floats<V> mean_squares(const flat_compensation &with, const floats<V> &g, size_t i)
{
    const compensation &c = with.compensation;
    floats<V> squares = load<float, V>(c.mean_square + i);
    for (int v = 0; v < V; v++)
        squares.at[v] = c.decay * squares.at[v] + with.rest * (g.at[v] * g.at[v]);
    store<float, V>(c.mean_square + i, squares);
    return squares;
}

// With lambda 0 the gradient is left as it is, so that a zero keeps its sign.
template <int V> __device__ inline void compensate(const flat_compensation &with, floats<V> &g, const floats<V> &now, size_t i)
{
    const compensation &c = with.compensation;
    if (!c.backup)
        return;
    floats<V> lambda;
    for (int v = 0; v < V; v++)
        lambda.at[v] = c.lambda;
    if (c.mean_square) {
        const floats<V> squares = mean_squares<V>(with, g, i);
        for (int v = 0; v < V; v++)
            lambda.at[v] = c.lambda / sqrtf(squares.at[v] + 1e-7f);
    }
    if (c.lambda == 0)
        return;
    const floats<V> backup = load<float, V>(c.backup + i);
    for (int v = 0; v < V; v++)
        g.at[v] += lambda.at[v] * g.at[v] * g.at[v] * (now.at[v] - backup.at[v]);
}

// What is multiplied by each weight: `decay`, or 0 where the mask has no bit.
template <int V> __device__ inline floats<V> decaying(const uint32_t *decays, float decay, size_t i)
{
    floats<V> factor;
    for (int v = 0; v < V; v++)
        factor.at[v] = !decays || decays[(i + v) / 32] >> (i + v) % 32 & 1 ? decay : 0;
    return factor;
}

template <int V> __device__ inline void look_ahead(const flat_sgd &flat, const floats<V> &w, const floats<V> &v, size_t i)
{
    const flat_ahead &ahead = flat.ahead;
    const floats<V> of_w = decaying<V>(flat.pass.decays, ahead.w, i);
    floats<V> result;
    for (int j = 0; j < V; j++)
        result.at[j] = w.at[j] - ahead.rate * (ahead.v * v.at[j] + of_w.at[j] * w.at[j]);
    store<float, V>(flat.pass.p + i, result);
}

template <int V> __device__ inline void follow(float *average, const floats<V> &values, float rate, size_t i)
{
    floats<V> result = load<float, V>(average + i);
    for (int v = 0; v < V; v++)
        result.at[v] += rate * (values.at[v] - result.at[v]);
    store<float, V>(average + i, result);
}

struct sgd : flat_sgd {
    template <int V> __device__ void run(size_t i) const
    {
        floats<V> g = summed<V>(sum, i), w = load<float, V>(pass.w + i), m = load<float, V>(pass.v + i);
        const floats<V> decay = decaying<V>(pass.decays, pass.weight_decay, i);
        compensate<V>(compensation, g, w, i);
        for (int v = 0; v < V; v++) {
            const float d = pass.scale * (g.at[v] + decay.at[v] * w.at[v]);
            m.at[v] = pass.momentum * m.at[v] + d;
            w.at[v] = w.at[v] - pass.rate * (pass.nesterov ? d + pass.momentum * m.at[v] : m.at[v]);
        }
        store<float, V>(pass.v + i, m);
        store<float, V>(pass.w_out + i, w);
        if (pass.p)
            look_ahead<V>(*this, w, m, i);
        if (pass.average)
            follow<V>(pass.average, w, pass.average_rate, i);
    }
};

struct forecast : flat_sgd {
    template <int V> __device__ void run(size_t i) const { look_ahead<V>(*this, load<float, V>(pass.w + i), load<float, V>(pass.v + i), i); }
};

struct local : flat_local {
    template <int V> __device__ void run(size_t i) const
    {
        floats<V> g = load<float, V>(pass.g + i), m, l;
        const floats<V> w = load<float, V>(pass.w + i), decay = decaying<V>(pass.decays, pass.weight_decay, i);
        for (int v = 0; v < V; v++)
            g.at[v] *= pass.factor;
        compensate<V>(compensation, g, w, i);
        if (pass.m)
            m = load<float, V>(pass.m + i);
        for (int v = 0; v < V; v++) {
            const float kept = pass.m ? pass.momentum * m.at[v] : 0;
            m.at[v] = kept - pass.rate * (g.at[v] + decay.at[v] * w.at[v]);
            l.at[v] = w.at[v] + m.at[v];
        }
        if (pass.m)
            store<float, V>(pass.m + i, m);
        store<float, V>(pass.l + i, l);
    }
};

struct predict : flat_predict {
    template <int V> __device__ void run(size_t i) const
    {
        const floats<V> from = load<float, V>(p + i), gradient = load<float, V>(g + i);
        floats<V> result;
        for (int v = 0; v < V; v++)
            result.at[v] = from.at[v] - c * gradient.at[v];
        store<float, V>(l + i, result);
    }
};

struct averaged : flat_average {
    template <int V> __device__ void run(size_t i) const { follow<V>(average, load<float, V>(values + i), rate, i); }
};

// A thread for each partial sum; sixteen neighbours read sixteen neighbouring elements at a time.
__global__ void square_sums(flat_sum sum, size_t n, double *block_sums)
{
    __shared__ double parts[THREADS];
    const size_t blocks = (n + FLAT_BLOCK - 1) / FLAT_BLOCK, block = ((size_t)blockIdx.x * THREADS + threadIdx.x) / FLAT_PARTS;
    const size_t begin = block * FLAT_BLOCK, end = begin + FLAT_BLOCK < n ? begin + FLAT_BLOCK : n;
    double part = 0;
    for (size_t i = begin + threadIdx.x % FLAT_PARTS; i < end; i += FLAT_PARTS) {
        const double g = summed<1>(sum, i).at[0];
        part += g * g;
    }
    parts[threadIdx.x] = part;
    __syncthreads();
    if (threadIdx.x % FLAT_PARTS != 0 || block >= blocks)
        return;
    double whole = 0;
    for (int i = 0; i < FLAT_PARTS; i++)
        whole += parts[threadIdx.x + i];
    block_sums[block] = whole;
}

__global__ void write_values(step_values *to, step_values values) { *to = values; }

template <typename Pass> cudaError_t go(cudaStream_t stream, const flat_span &span, const Pass &pass)
{
    return span.n == 0 ? cudaSuccess : launch(over<Pass>, span.blocks, THREADS, 0, stream, pass, span);
}

}

extern "C" cudaError_t cuda_launch_sgd(cudaStream_t stream, const struct flat_span *span, const struct flat_sgd *pass) { return go(stream, *span, sgd{ *pass }); }
extern "C" cudaError_t cuda_launch_forecast(cudaStream_t stream, const struct flat_span *span, const struct flat_sgd *pass) { return go(stream, *span, forecast{ *pass }); }
extern "C" cudaError_t cuda_launch_local(cudaStream_t stream, const struct flat_span *span, const struct flat_local *pass) { return go(stream, *span, local{ *pass }); }
extern "C" cudaError_t cuda_launch_predict(cudaStream_t stream, const struct flat_span *span, const struct flat_predict *pass) { return go(stream, *span, predict{ *pass }); }
extern "C" cudaError_t cuda_launch_average(cudaStream_t stream, const struct flat_span *span, const struct flat_average *pass) { return go(stream, *span, averaged{ *pass }); }

extern "C" cudaError_t cuda_launch_square_sums(cudaStream_t stream, const struct flat_sum *sum, size_t n, double *block_sums)
{
    return launch(square_sums, blocks_for(n, (size_t)THREADS / FLAT_PARTS * FLAT_BLOCK), THREADS, 0, stream, *sum, n, block_sums);
}

extern "C" cudaError_t cuda_launch_values(cudaStream_t stream, struct step_values *to, const struct step_values *values)
{
    return launch(write_values, 1, 1, 0, stream, to, *values);
}
