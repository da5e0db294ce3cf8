/* Convolutions of 1 x 1, which are matrix products over the channels.
 *
 * Outputs: a few columns of the input, some channels of them at a time, are copied together, so that they stay in
 * the first cache while all filters read them. The sums wait in the output meanwhile.
 *
 * Gradients of filters: the inputs of a few places are turned to [place][sample][channel], and a vector then holds
 * channels: the outputs' gradients are broadcast, nothing is added up across a vector, and the gradient itself holds
 * the sums. */
#include "cpu/lanes_pointwise.h"

#include "cpu/lanes_strip.h"

/* ---- outputs ---- */

enum { COLUMNS = 4, CHUNK = 1024 / LANES, STRIP_FILTERS = REGISTERS == 32 ? 6 : 3 };

/* A chunk of n channels, from channel `channel` on, of columns from x on: in[channel][column]. */
struct chunk { const vec *in; int channel, n, x; };

/* `filters` and `columns` are constants wherever this is called. */
VECTOR_INLINE void outputs_tile(const struct strip *s, const struct chunk *chunk, int filter, int filters, int columns)
{
    const ptrdiff_t w_filter = s->w_filter, w_channel = s->w_channel;
    const bool first = chunk->channel == 0, last = chunk->channel + chunk->n == s->channels;
    const float *w = s->w + filter * w_filter + chunk->channel * w_channel, *in = (const float *)chunk->in;
    float *out = s->out + (filter * s->out_channel + chunk->x * s->out_step) * LANES;
    vec acc[STRIP_FILTERS * COLUMNS];
#pragma GCC unroll 6
    for (int f = 0; f < filters; f++)
#pragma GCC unroll 4
        for (int x = 0; x < columns; x++)
            acc[f * columns + x] = !first ? vec_load(out + (f * s->out_channel + x * s->out_step) * LANES)
                                   : s->bias ? vec_all(s->bias[filter + f]) : vec_zero();
    for (int c = 0; c < chunk->n; c++, in += COLUMNS * LANES, w += w_channel) {
        vec weight[STRIP_FILTERS];
#pragma GCC unroll 6
        for (int f = 0; f < filters; f++)
            weight[f] = vec_all(w[f * w_filter]);
#pragma GCC unroll 4
        for (int x = 0; x < columns; x++) {
            vec a = vec_load(in + x * LANES);
            VEC_HELD(a);
#pragma GCC unroll 6
            for (int f = 0; f < filters; f++)
                acc[f * columns + x] = vec_fma(a, weight[f], acc[f * columns + x]);
        }
    }
#pragma GCC unroll 6
    for (int f = 0; f < filters; f++)
#pragma GCC unroll 4
        for (int x = 0; x < columns; x++)
            if (last)
                strip_finish(s, filter + f, chunk->x + x, acc[f * columns + x]);
            else
                vec_store(out + (f * s->out_channel + x * s->out_step) * LANES, acc[f * columns + x]);
}

VECTOR_INLINE void all_filters(const struct strip *s, const struct chunk *chunk, int columns)
{
    const int parts = part_count(s->filters, STRIP_FILTERS);
    for (int i = 0; i < parts; i++) {
        const int filter = part_begin(s->filters, parts, i);
        switch (part_begin(s->filters, parts, i + 1) - filter) {
        case 1: outputs_tile(s, chunk, filter, 1, columns); break;
        case 2: outputs_tile(s, chunk, filter, 2, columns); break;
        case 3: outputs_tile(s, chunk, filter, 3, columns); break;
        case 4: if (STRIP_FILTERS >= 4) outputs_tile(s, chunk, filter, 4, columns); break;
        case 5: if (STRIP_FILTERS >= 5) outputs_tile(s, chunk, filter, 5, columns); break;
        case 6: if (STRIP_FILTERS >= 6) outputs_tile(s, chunk, filter, 6, columns); break;
        }
    }
}

/* All channels of `columns` columns from x on. */
VECTOR_INLINE void outputs_columns(const struct strip *s, int x, int columns)
{
    vec in[CHUNK][COLUMNS];
    const float *from = s->in + x * s->in_step * LANES;
    for (int channel = 0; channel < s->channels; channel += CHUNK) {
        const int n = s->channels - channel < CHUNK ? s->channels - channel : CHUNK;
        for (int c = 0; c < n; c++, from += s->in_channel * LANES)
#pragma GCC unroll 4
            for (int i = 0; i < columns; i++)
                in[c][i] = vec_load(from + i * s->in_step * LANES);
        all_filters(s, &(struct chunk){ in[0], channel, n, x }, columns);
    }
}

bool strip_pointwise_pays(const struct strip *s)
{
    const bool inside = s->in_column >= 0 && s->in_column + (s->n - 1) * (int)s->in_step < s->in_width;
    return inside && s->rows == 1 && s->columns == 1 && s->channels >= 16 && s->filters > STRIP_FILTERS;
}

void strip_pointwise(const struct strip *s)
{
    int x = 0;
    for (; x + COLUMNS <= s->n; x += COLUMNS)
        outputs_columns(s, x, COLUMNS);
    for (; x < s->n; x++)
        outputs_columns(s, x, 1);
}

/* ---- gradients of filters ---- */

enum { PLACES = 4, SAMPLES = PLACES * GROUP, VECTORS = 2, FILTERS = REGISTERS == 32 ? 8 : 6 };

bool filters_pointwise_pays(struct shape in, int size) { return size == 1 && in.c % GROUP == 0; }

size_t filters_pointwise_floats(struct shape in) { return SAMPLES * (size_t)in.c; }

/* A few places of the outputs, from `first` on. */
struct places { int first, n; };

/* turned[place][sample][channel] */
static void turn(const struct filters_pass *p, struct places places, float *turned)
{
    const struct shape in = p->in_shape;
    const size_t plane = (size_t)in.h * (size_t)in.w * LANES, channels = (size_t)in.c;
    for (int i = 0; i < places.n; i++)
        for (size_t part = 0; part < PARTS; part++, turned += LANES * channels) {
            const int y = (places.first + i) / p->out_shape.w * p->stride;
            const int x = (places.first + i) % p->out_shape.w * p->stride;
            const float *from = p->in + part * channels * plane + ((size_t)y * (size_t)in.w + (size_t)x) * LANES;
            for (size_t c = 0; c < channels; c += LANES) {
                vec rows[LANES];
                for (size_t k = 0; k < LANES; k++)
                    rows[k] = vec_load(from + (c + k) * plane);
                vec_transpose(rows);
                for (size_t k = 0; k < LANES; k++)
                    vec_store(turned + k * channels + c, rows[k]);
            }
        }
}

/* gradient[filter][channel] += dout[filter][n] turned[n][channel] over the places, for `vectors` vectors of
 * channels. */
VECTOR_INLINE void gradient_tile(const struct filters_pass *p, struct places places, const float *turned, int filter,
                                 int channel, int filters, int vectors)
{
    const size_t channels = (size_t)p->in_shape.c;
    const ptrdiff_t plane = (ptrdiff_t)p->out_shape.h * p->out_shape.w * LANES, part_step = p->out_shape.c * plane;
    const float *dout = p->dout + filter * plane + (ptrdiff_t)places.first * LANES;
    vec acc[FILTERS * VECTORS];
#pragma GCC unroll 16
    for (int i = 0; i < filters * vectors; i++)
        acc[i] = vec_zero();
    turned += channel;
    for (int i = 0; i < places.n; i++, dout += LANES)
        for (int part = 0; part < PARTS; part++) {
            const float *d = dout + part * part_step;
            for (int lane = 0; lane < LANES; lane++, turned += channels) {
                vec v[VECTORS];
#pragma GCC unroll 2
                for (int k = 0; k < vectors; k++) {
                    v[k] = vec_load(turned + k * LANES);
                    VEC_HELD(v[k]);
                }
#pragma GCC unroll 8
                for (int f = 0; f < filters; f++) {
                    const vec a = vec_all(d[f * plane + lane]);
#pragma GCC unroll 2
                    for (int k = 0; k < vectors; k++)
                        acc[f * vectors + k] = vec_fma(v[k], a, acc[f * vectors + k]);
                }
            }
        }
    const bool add = p->add || places.first > 0;
#pragma GCC unroll 8
    for (int f = 0; f < filters; f++)
#pragma GCC unroll 2
        for (int k = 0; k < vectors; k++) {
            float *to = p->gradient + (size_t)(filter + f) * channels + (size_t)(channel + k * LANES);
            vec_store_anywhere(to, add ? vec_load_anywhere(to) + acc[f * vectors + k] : acc[f * vectors + k]);
        }
}

VECTOR_INLINE void gradient_filters(const struct filters_pass *p, struct places places, const float *turned,
                                    int channel, int vectors)
{
    const int parts = part_count(p->out_shape.c, FILTERS);
    for (int i = 0; i < parts; i++) {
        const int filter = part_begin(p->out_shape.c, parts, i);
        switch (part_begin(p->out_shape.c, parts, i + 1) - filter) {
        case 1: gradient_tile(p, places, turned, filter, channel, 1, vectors); break;
        case 2: gradient_tile(p, places, turned, filter, channel, 2, vectors); break;
        case 3: gradient_tile(p, places, turned, filter, channel, 3, vectors); break;
        case 4: gradient_tile(p, places, turned, filter, channel, 4, vectors); break;
        case 5: gradient_tile(p, places, turned, filter, channel, 5, vectors); break;
        case 6: gradient_tile(p, places, turned, filter, channel, 6, vectors); break;
        case 7: if (FILTERS >= 7) gradient_tile(p, places, turned, filter, channel, 7, vectors); break;
        case 8: if (FILTERS >= 8) gradient_tile(p, places, turned, filter, channel, 8, vectors); break;
        }
    }
}

void filters_gradient_pointwise(const struct filters_pass *p)
{
    const int all = p->out_shape.h * p->out_shape.w;
    for (struct places places = { 0, 0 }; places.first < all; places.first += PLACES) {
        places.n = all - places.first < PLACES ? all - places.first : PLACES;
        turn(p, places, p->room);
        for (int c = 0; c < p->in_shape.c; c += VECTORS * LANES)
            if (c + VECTORS * LANES <= p->in_shape.c)
                gradient_filters(p, places, p->room, c, VECTORS);
            else
                gradient_filters(p, places, p->room, c, 1);
    }
}
