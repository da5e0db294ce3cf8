/* Winograd's transforms along one axis, for the points 0, a, -a, b, -b and infinity with a = 3/4, b = 3/2, and the walk over tiles that
 * the passes share. Inside lanes_winograd*.c only. */
#ifndef CPU_LANES_WINOGRAD_TRANSFORM_H
#define CPU_LANES_WINOGRAD_TRANSFORM_H

#include "cpu/lanes_winograd.h"

/* All but the last two are exact in single precision. */
#define POINT_A 0.75f
#define POINT_B 1.5f
#define SQUARE_A 0.5625f
#define SQUARE_B 2.25f
#define CUBE_A 0.421875f
#define CUBE_B 3.375f
#define SQUARES_PRODUCT 1.265625f /* a^2 b^2: the product of 0's differences to the other points */
#define SQUARES_SUM 2.8125f       /* a^2 + b^2 */
#define INVERSE_A (1 / (2 * SQUARE_A * (SQUARE_A - SQUARE_B))) /* 1 over the product of a's differences to the other points */
#define INVERSE_B (1 / (2 * SQUARE_B * (SQUARE_B - SQUARE_A)))

/* v = B^T d: rows are the coefficients of x (x^2 - a^2) (x^2 - b^2) / (x - point). */
VECTOR_INLINE void winograd_input(const vec d[6], vec v[6])
{
    const vec a = vec_all(POINT_A), b = vec_all(POINT_B), minus_a2 = vec_all(-SQUARE_A), minus_b2 = vec_all(-SQUARE_B);
    const vec product = vec_all(SQUARES_PRODUCT), minus_sum = vec_all(-SQUARES_SUM);
    vec even_a = vec_fma(minus_b2, d[2], d[4]), odd_a = a * vec_fma(minus_b2, d[1], d[3]);
    vec even_b = vec_fma(minus_a2, d[2], d[4]), odd_b = b * vec_fma(minus_a2, d[1], d[3]);
    v[0] = vec_fma(product, d[0], vec_fma(minus_sum, d[2], d[4]));
    v[1] = even_a + odd_a;
    v[2] = even_a - odd_a;
    v[3] = even_b + odd_b;
    v[4] = even_b - odd_b;
    v[5] = vec_fma(product, d[1], vec_fma(minus_sum, d[3], d[5]));
}

/* y = A^T m: sums of powers of the points. */
VECTOR_INLINE void winograd_output(const vec m[6], vec y[4])
{
    vec even_a = m[1] + m[2], odd_a = m[1] - m[2], even_b = m[3] + m[4], odd_b = m[3] - m[4];
    y[0] = m[0] + even_a + even_b;
    y[1] = vec_fma(vec_all(POINT_A), odd_a, vec_all(POINT_B) * odd_b);
    y[2] = vec_fma(vec_all(SQUARE_A), even_a, vec_all(SQUARE_B) * even_b);
    y[3] = vec_fma(vec_all(CUBE_A), odd_a, vec_fma(vec_all(CUBE_B), odd_b, m[5]));
}

/* u = G g of a filter's three taps. */
VECTOR_INLINE void winograd_filter(const vec g[3], vec u[6])
{
    vec even_a = vec_all(INVERSE_A) * vec_fma(vec_all(SQUARE_A), g[2], g[0]), odd_a = vec_all(INVERSE_A * POINT_A) * g[1];
    vec even_b = vec_all(INVERSE_B) * vec_fma(vec_all(SQUARE_B), g[2], g[0]), odd_b = vec_all(INVERSE_B * POINT_B) * g[1];
    u[0] = vec_all(1 / SQUARES_PRODUCT) * g[0];
    u[1] = even_a + odd_a;
    u[2] = even_a - odd_a;
    u[3] = even_b + odd_b;
    u[4] = even_b - odd_b;
    u[5] = g[2];
}

/* The four outputs' gradients as a filter of four taps; the denominators are left to winograd_taps. */
VECTOR_INLINE void winograd_output_gradient(const vec g[4], vec u[6])
{
    vec even_a = vec_fma(vec_all(SQUARE_A), g[2], g[0]), odd_a = vec_all(POINT_A) * vec_fma(vec_all(SQUARE_A), g[3], g[1]);
    vec even_b = vec_fma(vec_all(SQUARE_B), g[2], g[0]), odd_b = vec_all(POINT_B) * vec_fma(vec_all(SQUARE_B), g[3], g[1]);
    u[0] = g[0];
    u[1] = even_a + odd_a;
    u[2] = even_a - odd_a;
    u[3] = even_b + odd_b;
    u[4] = even_b - odd_b;
    u[5] = g[3];
}

/* The gradients of three taps, from sums of products of the two above. */
VECTOR_INLINE void winograd_taps(const vec m[6], vec w[3])
{
    vec even_a = vec_all(INVERSE_A) * (m[1] + m[2]), odd_a = vec_all(INVERSE_A) * (m[1] - m[2]);
    vec even_b = vec_all(INVERSE_B) * (m[3] + m[4]), odd_b = vec_all(INVERSE_B) * (m[3] - m[4]);
    w[0] = vec_fma(vec_all(1 / SQUARES_PRODUCT), m[0], even_a + even_b);
    w[1] = vec_fma(vec_all(POINT_A), odd_a, vec_all(POINT_B) * odd_b);
    w[2] = vec_fma(vec_all(SQUARE_A), even_a, vec_fma(vec_all(SQUARE_B), even_b, m[5]));
}

/* ---- tiles: of n blocks, or of n groups ---- */

struct winograd_tiles { int across, down, all; };

static inline struct winograd_tiles winograd_tiles(struct shape map, int n)
{
    int across = (map.w + WINOGRAD_TILE - 1) / WINOGRAD_TILE, down = (map.h + WINOGRAD_TILE - 1) / WINOGRAD_TILE;
    return (struct winograd_tiles){ across, down, across * down * n };
}

/* Neighbours in one row of tiles: what of a strip can be transformed together. */
struct winograd_run { int block, x, y, n; }; /* block: or group; x, y: of the first output */

static inline struct winograd_run winograd_run(const struct winograd_tiles *tiles, int tile, int end)
{
    int column = tile % tiles->across, row = tile / tiles->across;
    int n = tiles->across - column < end - tile ? tiles->across - column : end - tile;
    return (struct winograd_run){ row / tiles->down, column * WINOGRAD_TILE, row % tiles->down * WINOGRAD_TILE, n };
}

/* A strip's transformed inputs: [36][channels][WINOGRAD_STRIP][samples], the samples of a block or of a group; places lie a little further
 * apart, so that those of one tile do not all fall into one set of the first cache. */
static inline size_t winograd_place_floats(int channels, int samples)
{
    enum { SET = 16, SETS = 64 }; /* floats of a line of the cache */
    const size_t floats = (size_t)channels * WINOGRAD_STRIP * (size_t)samples;
    return (floats + SET * SETS - 1) / (SET * SETS) * SET * SETS + 2 * WINOGRAD_STRIP * SET;
}

/* Where a strip's inputs come from, and how many samples lie side by side where they go: LANES or GROUP. */
struct winograd_source {
    const float *in;           /* of the first block */
    struct shape shape;
    size_t block;              /* floats from one block, or group, to the next */
    int pad, samples;
};

/* Tiles [tile, end), at most WINOGRAD_STRIP, missing ones as zeros. */
void winograd_input_strip(float *v, const struct winograd_source *from, const struct winograd_tiles *tiles, int tile, int end);

#endif
