/* Winograd's filter transform, as many filters side by side as a vector has lanes. */
#include "cpu/lanes_winograd_transform.h"

enum { TAPS = 3, FILTER = TAPS * TAPS, FILTERS = 16 };

/* [3][3] taps of up to LANES filters, `stride` floats apart; the rest zero. */
static void gather(vec g[FILTER], const float *weights, size_t stride, int filters, bool turned)
{
    float taps[FILTER][LANES] = { 0 };
    for (int f = 0; f < filters; f++)
        for (int t = 0; t < FILTER; t++)
            taps[turned ? FILTER - 1 - t : t][f] = weights[(size_t)f * stride + (size_t)t];
    for (int t = 0; t < FILTER; t++)
        g[t] = vec_load_anywhere(taps[t]);
}

static void transform(float *u, size_t place, const vec g[FILTER])
{
    vec down[TAPS][WINOGRAD_POINTS]; /* [column][row of points] */
    for (int x = 0; x < TAPS; x++)
        winograd_filter((vec[TAPS]){ g[x], g[TAPS + x], g[2 * TAPS + x] }, down[x]);
    for (int i = 0; i < WINOGRAD_POINTS; i++) {
        vec points[WINOGRAD_POINTS];
        winograd_filter((vec[TAPS]){ down[0][i], down[1][i], down[2][i] }, points);
        for (int j = 0; j < WINOGRAD_POINTS; j++)
            vec_store(u + (size_t)(i * WINOGRAD_POINTS + j) * place, points[j]);
    }
}

void winograd_filters(float *transformed, const float *weights, int filters, int channels, bool turned)
{
    const size_t place = winograd_filters_floats(filters, channels) / WINOGRAD_PLACES;
    const size_t filter = FILTER * (size_t)(turned ? 1 : channels), channel = FILTER * (size_t)(turned ? filters : 1);
    for (int first = 0; first < filters; first += FILTERS)
        for (int c = 0; c < channels; c++)
            for (int f = first; f < first + FILTERS; f += LANES, transformed += LANES) {
                const int n = filters - f < LANES ? filters - f : LANES;
                vec g[FILTER];
                gather(g, weights + (size_t)f * filter + (size_t)c * channel, filter, n, turned);
                transform(transformed, place, g);
            }
}
