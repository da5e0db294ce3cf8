/* Winograd's minimal filtering F(4 x 4, 3 x 3) for 3 x 3 convolutions of stride 1: 36 multiplications a tile and
 * channel instead of 144.
 *
 * A tile of 4 x 4 outputs reads 6 x 6 inputs. Per axis, Y = A^T [(G g) . (B^T d)] evaluates and interpolates
 * polynomials at the points 0, +-3/4, +-3/2 and infinity, which keep the rounding error near that of plain sums. In
 * lanes the transforms are elementwise, and each of the 36 places is one small matrix product over channels.
 *
 * A value that is not finite spreads over its tile: more outputs than the plain sum would give become NaN, never
 * fewer. */
#ifndef CPU_LANES_WINOGRAD_H
#define CPU_LANES_WINOGRAD_H

#include "cpu/lanes.h"

enum { WINOGRAD_TILE = 4, WINOGRAD_POINTS = 6, WINOGRAD_PLACES = WINOGRAD_POINTS * WINOGRAD_POINTS };

/* Tiles that are worked on together, neighbours in the order block (or group), row, column. */
enum { WINOGRAD_STRIP = 4 };

/* Whether it pays: there are enough channels, and the map fills its tiles. */
bool winograd_pays(struct shape in, struct shape map);

/* Floats of transformed filters: [36][filters/16][channels][16]. */
size_t winograd_filters_floats(int filters, int channels);

size_t winograd_room_floats(int filters, int channels);
size_t winograd_gradient_floats(int filters, int channels);

/* From canonical weights [filters][channels][3][3]; or, `turned`, those of the input's gradient: rotated by half a
 * turn, with the roles of filters and channels exchanged, so that `filters` counts the convolution's channels. */
void winograd_filters(float *transformed, const float *weights, int filters, int channels, bool turned);

struct winograd_pass {
    const float *in;           /* [blocks][in_shape][LANES] */
    float *out;                /* [blocks][out_shape][LANES] */
    struct shape in_shape, out_shape;
    int blocks, pad;           /* pad: 0 to 2 */
    const float *filters;      /* transformed */
    const float *bias;         /* [out_shape.c], or NULL */
    float *room;               /* winograd_room_floats(out_shape.c, in_shape.c) */
};

void winograd_convolve(const struct winograd_pass *pass);

struct winograd_gradient {
    const float *in;           /* [groups][PARTS][in_shape][LANES] */
    const float *dout;         /* [groups][PARTS][out_shape][LANES] */
    struct shape in_shape, out_shape;
    int groups, pad;
    float *gradient;           /* [out_shape.c][in_shape.c][3][3] */
    float *room;               /* winograd_gradient_floats(out_shape.c, in_shape.c) */
};

void winograd_filters_gradient(const struct winograd_gradient *pass);

#endif
