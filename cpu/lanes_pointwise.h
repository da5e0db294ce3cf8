/* Convolutions of 1 x 1, and their filters' gradients. Inside cpu/ only. */
#ifndef CPU_LANES_POINTWISE_H
#define CPU_LANES_POINTWISE_H

#include "cpu/lanes_filters.h"
#include "cpu/lanes_strip.h"

/* As strip_plain, with the same bits, for strips of one tap. */
bool strip_pointwise_pays(const struct strip *strip);
void strip_pointwise(const struct strip *strip);

/* As filters_gradient, but summed in the order place, sample. No padding; `room` of the pass:
 * filters_pointwise_floats(in_shape). */
bool filters_pointwise_pays(struct shape in, int size);
size_t filters_pointwise_floats(struct shape in_shape);
void filters_gradient_pointwise(const struct filters_pass *pass);

#endif
