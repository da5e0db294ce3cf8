/* A channel is read in blocks that stay in the first cache: a block's mean, then its squared deviations from that,
 * so that nothing cancels wherever the mean lies. Blocks are merged lane by lane, lanes at the end in double (Chan,
 * Golub, LeVeque 1979). */
#include "cpu/lanes_moments.h"

#include "base/sizes.h"

enum { BLOCK = 64, CHAINS = 4 }; /* places; independent sums, which hide the latency of an addition */

/* Of n values in each lane: their mean, and the sum of their squared deviations from it. */
struct spread { vec mean, squares; };

static inline vec chains_sum(const vec a[CHAINS]) { return (a[0] + a[1]) + (a[2] + a[3]); }

static struct spread block_spread(const float *x, size_t n)
{
    vec sum[CHAINS] = { { 0 } }, squares[CHAINS] = { { 0 } };
    size_t i = 0;
    for (; i + CHAINS <= n; i += CHAINS)
        for (int k = 0; k < CHAINS; k++)
            sum[k] += vec_load(x + (i + (size_t)k) * LANES);
    for (; i < n; i++)
        sum[0] += vec_load(x + i * LANES);
    const vec mean = chains_sum(sum) * vec_all(1 / (float)n);
    for (i = 0; i + CHAINS <= n; i += CHAINS)
        for (int k = 0; k < CHAINS; k++) {
            vec d = vec_load(x + (i + (size_t)k) * LANES) - mean;
            squares[k] = vec_fma(d, d, squares[k]);
        }
    for (; i < n; i++) {
        vec d = vec_load(x + i * LANES) - mean;
        squares[0] = vec_fma(d, d, squares[0]);
    }
    return (struct spread){ mean, chains_sum(squares) };
}

/* What n values and m values more have together. */
static struct spread merged(struct spread a, size_t n, struct spread b, size_t m)
{
    const float share = (float)m / (float)(n + m);
    const vec d = b.mean - a.mean;
    a.squares += vec_fma(d * vec_all((float)n * share), d, b.squares);
    a.mean = vec_fma(d, vec_all(share), a.mean);
    return a;
}

/* Of the sixteen samples of a group, those below `filled` have n[1] values, the others n[0]. */
static struct moments samples_merged(const struct spread parts[PARTS], int filled, const double n[2])
{
    double sum = 0, count = 0, squares = 0;
    for (int i = 0; i < GROUP; i++) {
        sum += n[i < filled] * (double)parts[i / LANES].mean[i % LANES];
        count += n[i < filled];
    }
    for (int i = 0; i < GROUP; i++) {
        double d = (double)parts[i / LANES].mean[i % LANES] - sum / count;
        squares += (double)parts[i / LANES].squares[i % LANES] + n[i < filled] * d * d;
    }
    return (struct moments){ sum / count, squares / count };
}

struct moments lanes_moments(const struct tensor *tensor, int c)
{
    const int groups = lanes_groups(tensor->batch), last = groups - 1;
    const size_t places = (size_t)tensor->shape.h * (size_t)tensor->shape.w;
    struct spread parts[PARTS] = { { { 0 }, { 0 } } };
    for (int block = 0; block < groups * PARTS; block++) {
        const float *x = (const float *)tensor->data + lanes_plane(tensor->shape, block, c);
        const lane_mask filled = lanes_filled(tensor->batch, block);
        const size_t before = (size_t)(block / PARTS) * places;
        struct spread all = parts[block % PARTS];
        for (size_t i = 0; i < places; i += BLOCK) {
            const size_t n = places - i < BLOCK ? places - i : BLOCK;
            struct spread more = merged(all, before + i, block_spread(x + i * LANES, n), n);
            all.mean = vec_select(filled, more.mean, all.mean);
            all.squares = vec_select(filled, more.squares, all.squares);
        }
        parts[block % PARTS] = all;
    }
    const double n = (double)places;
    return samples_merged(parts, tensor->batch - last * GROUP, (double[2]){ n * last, n * groups });
}
