/* A channel is read in blocks that stay in the first cache: a block's mean, then its squared deviations from that, so that nothing
 * cancels wherever the mean lies. Blocks are merged lane by lane, lanes at the end in double (Chan, Golub, LeVeque 1979). */
#include "cpu/lanes_moments.h"

#include "base/sizes.h"

enum { BLOCK = 64, CHAINS = 4 }; /* places; independent sums, which hide the latency of an addition */

/* Of n values in each lane: their mean, and the sum of their squared deviations from it. */
struct spread { v16 mean, squares; };

static inline v16 chains_sum(const v16 a[CHAINS]) { return (a[0] + a[1]) + (a[2] + a[3]); }

static struct spread block_spread(const float *x, size_t n)
{
    v16 sum[CHAINS] = { { 0 } }, squares[CHAINS] = { { 0 } };
    size_t i = 0;
    for (; i + CHAINS <= n; i += CHAINS)
        for (int k = 0; k < CHAINS; k++)
            sum[k] += v16_load(x + (i + (size_t)k) * LANES);
    for (; i < n; i++)
        sum[0] += v16_load(x + i * LANES);
    const v16 mean = chains_sum(sum) * v16_all(1 / (float)n);
    for (i = 0; i + CHAINS <= n; i += CHAINS)
        for (int k = 0; k < CHAINS; k++) {
            v16 d = v16_load(x + (i + (size_t)k) * LANES) - mean;
            squares[k] = v16_fma(d, d, squares[k]);
        }
    for (; i < n; i++) {
        v16 d = v16_load(x + i * LANES) - mean;
        squares[0] = v16_fma(d, d, squares[0]);
    }
    return (struct spread){ mean, chains_sum(squares) };
}

/* What n values and m values more have together. */
static struct spread merged(struct spread a, size_t n, struct spread b, size_t m)
{
    const float share = (float)m / (float)(n + m);
    const v16 d = b.mean - a.mean;
    a.squares += v16_fma(d * v16_all((float)n * share), d, b.squares);
    a.mean = v16_fma(d, v16_all(share), a.mean);
    return a;
}

/* Lanes below `filled` have n[1] values, the others n[0]. */
static struct moments lanes_merged(struct spread all, int filled, const double n[2])
{
    double sum = 0, count = 0, squares = 0;
    for (int lane = 0; lane < LANES; lane++) {
        sum += n[lane < filled] * (double)all.mean[lane];
        count += n[lane < filled];
    }
    for (int lane = 0; lane < LANES; lane++) {
        double d = (double)all.mean[lane] - sum / count;
        squares += (double)all.squares[lane] + n[lane < filled] * d * d;
    }
    return (struct moments){ sum / count, squares / count };
}

struct moments lanes_moments(const struct tensor *tensor, int c)
{
    const int groups = lanes_groups(tensor->batch), last = groups - 1;
    const size_t places = (size_t)tensor->shape.h * (size_t)tensor->shape.w;
    struct spread all = { { 0 }, { 0 } };
    for (int group = 0; group < groups; group++) {
        const float *x = (const float *)tensor->data + lanes_plane(tensor->shape, group, c);
        const uint16_t filled = lanes_filled(tensor->batch, group);
        for (size_t i = 0; i < places; i += BLOCK) {
            const size_t n = places - i < BLOCK ? places - i : BLOCK;
            struct spread more = merged(all, (size_t)group * places + i, block_spread(x + i * LANES, n), n);
            all.mean = v16_select(filled, more.mean, all.mean);
            all.squares = v16_select(filled, more.squares, all.squares);
        }
    }
    const double n = (double)places;
    return lanes_merged(all, tensor->batch - last * LANES, (double[2]){ n * last, n * groups });
}
