/* Fully connected layers in lanes.
 *
 * Forward and the input's gradient are strips of the convolution kernel: the blocks of the batch are its columns,
 * the features the taps of a kernel of one row. Weight gradients have one number for every product of an input and
 * an output, too many to add up lanes for: the input is turned to [B][features] in panels, and neighbours in a row
 * of the weight matrix make the vector. */
#include "cpu/lanes.h"
#include "cpu/lanes_strip.h"
#include "cpu/loss_scale.h"

#include <limits.h>

enum { PANEL_VECTORS = 4, PANEL = PANEL_VECTORS * LANES, TILE_OUTPUTS = REGISTERS == 32 ? 6 : 3 };

struct linear {
    struct op op;
    int batch, inputs, outputs;
    bool relu, keep, want_gradient;
    const struct tensor *in, *out;
    const struct param *weight, *bias;
};

static int forward(struct op *op, const struct step *step, struct error *error)
{
    (void)error;
    const struct linear *linear = (const struct linear *)op;
    const struct strip strip = {
        .in = linear->in->data, .in_step = linear->inputs, .in_width = INT_MAX,
        .channels = 1, .rows = 1, .columns = linear->inputs,
        .w = step->weights + linear->weight->offset, .w_filter = linear->inputs, .w_column = 1,
        .filters = linear->outputs, .n = lanes_blocks(linear->batch),
        .out = linear->out->data, .out_channel = 1, .out_step = linear->outputs,
        .bias = linear->bias ? step->weights + linear->bias->offset : NULL,
        .relu = linear->relu, .bits = linear->keep && linear->relu ? op->saved : NULL,
    };
    strip_plain(&strip);
    return 0;
}

static void input_gradient(const struct linear *linear, const float *weights, const float *dout)
{
    const struct strip strip = {
        .in = dout, .in_step = linear->outputs, .in_width = INT_MAX,
        .channels = 1, .rows = 1, .columns = linear->outputs,
        .w = weights, .w_filter = 1, .w_column = linear->inputs,
        .filters = linear->inputs, .n = lanes_blocks(linear->batch),
        .out = linear->in->gradient, .out_channel = 1, .out_step = linear->inputs,
    };
    strip_plain(&strip);
}

/* panel[sample][i] = input begin + i of that sample; zeros beyond the last input. */
static void turn_panel(const struct linear *linear, int begin, float *panel)
{
    for (int block = 0; block < lanes_blocks(linear->batch); block++)
        for (int i = 0; i < PANEL; i += LANES) {
            const float *in = (const float *)linear->in->data + ((size_t)block * (size_t)linear->inputs + (size_t)(begin + i)) * LANES;
            vec rows[LANES];
            for (int j = 0; j < LANES; j++)
                rows[j] = begin + i + j < linear->inputs ? vec_load(in + j * LANES) : vec_zero();
            vec_transpose(rows);
            for (int j = 0; j < LANES; j++)
                vec_store(panel + (block * LANES + j) * PANEL + i, rows[j]);
        }
}

/* Rows of the weight gradient, at most PANEL columns of them. */
VECTOR_INLINE void gradient_tile(const struct linear *linear, const float *panel, const float *dout, float *gradient, int columns, int outputs)
{
    vec acc[TILE_OUTPUTS * PANEL_VECTORS];
#pragma GCC unroll 24
    for (int i = 0; i < outputs * PANEL_VECTORS; i++)
        acc[i] = vec_zero();
    for (int block = 0; block < lanes_blocks(linear->batch); block++, dout += (size_t)linear->outputs * LANES)
        for (int lane = 0; lane < LANES; lane++, panel += PANEL) {
            vec d[TILE_OUTPUTS];
#pragma GCC unroll 6
            for (int o = 0; o < outputs; o++)
                d[o] = vec_all(dout[o * LANES + lane]);
#pragma GCC unroll 4
            for (int i = 0; i < PANEL_VECTORS; i++) {
                vec a = vec_load(panel + i * LANES);
                VEC_HELD(a);
#pragma GCC unroll 6
                for (int o = 0; o < outputs; o++)
                    acc[o * PANEL_VECTORS + i] = vec_fma(a, d[o], acc[o * PANEL_VECTORS + i]);
            }
        }
#pragma GCC unroll 6
    for (int o = 0; o < outputs; o++) {
#pragma GCC unroll 4
        for (int i = 0; i < PANEL_VECTORS; i++)
            vec_store_first(gradient + o * linear->inputs + i * LANES, acc[o * PANEL_VECTORS + i], columns - i * LANES);
    }
}

static void weight_gradient(const struct linear *linear, const float *dout, float *panel, float *gradient)
{
    const int parts = part_count(linear->outputs, TILE_OUTPUTS);
    for (int begin = 0; begin < linear->inputs; begin += PANEL) {
        const int columns = linear->inputs - begin < PANEL ? linear->inputs - begin : PANEL;
        turn_panel(linear, begin, panel);
        for (int part = 0; part < parts; part++) {
            int o = part_begin(linear->outputs, parts, part);
            const float *d = dout + (size_t)o * LANES;
            float *to = gradient + (size_t)o * (size_t)linear->inputs + begin;
            switch (part_begin(linear->outputs, parts, part + 1) - o) {
            case 1: gradient_tile(linear, panel, d, to, columns, 1); break;
            case 2: gradient_tile(linear, panel, d, to, columns, 2); break;
            case 3: gradient_tile(linear, panel, d, to, columns, 3); break;
            case 4: if (TILE_OUTPUTS >= 4) gradient_tile(linear, panel, d, to, columns, 4); break;
            case 5: if (TILE_OUTPUTS >= 5) gradient_tile(linear, panel, d, to, columns, 5); break;
            case 6: if (TILE_OUTPUTS >= 6) gradient_tile(linear, panel, d, to, columns, 6); break;
            }
        }
    }
}

static void cut(const struct linear *linear, const lane_bits *bits, float *dout)
{
    const size_t n = (size_t)lanes_blocks(linear->batch) * (size_t)linear->outputs;
    const float *from = linear->out->gradient;
    for (size_t i = 0; i < n; i++)
        vec_store(dout + i * LANES, vec_keep(mask_of(bits[i]), vec_load(from + i * LANES)));
}

static void bias_gradient(const struct linear *linear, const float *dout, float *gradient)
{
    for (int o = 0; o < linear->outputs; o++) {
        vec sum[PARTS] = { { 0 } };
        for (int block = 0; block < lanes_blocks(linear->batch); block++)
            sum[block % PARTS] += vec_load(dout + ((size_t)block * (size_t)linear->outputs + (size_t)o) * LANES);
        gradient[o] = vec_sum(vec_parts(sum, 1));
    }
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    (void)error;
    const struct linear *linear = (const struct linear *)op;
    float *panel = op->scratch, *cut_dout = panel + (size_t)lanes_blocks(linear->batch) * LANES * PANEL;
    const float *dout = linear->out->gradient;
    if (linear->relu) {
        cut(linear, op->saved, cut_dout);
        dout = cut_dout;
    }
    if (linear->bias)
        bias_gradient(linear, dout, step->gradient + linear->bias->offset);
    weight_gradient(linear, dout, panel, step->gradient + linear->weight->offset);
    unscale(step, linear->weight);
    unscale(step, linear->bias);
    if (linear->want_gradient)
        input_gradient(linear, step->weights + linear->weight->offset, dout);
    return 0;
}

static const struct op_calls calls = { .forward = forward, .backward = backward, .free = lanes_op_free };

int lanes_linear(struct op **op, const struct op_request *request, const struct linear_args *args, struct error *error)
{
    struct linear *linear = lanes_op_new(sizeof *linear, &calls, request, error);
    if (!linear)
        return -1;
    linear->batch = request->batch;
    linear->inputs = (int)shape_count(request->inputs[0]->shape);
    linear->outputs = args->outputs;
    linear->relu = args->relu;
    linear->keep = request->training;
    linear->want_gradient = request->want_gradient[0];
    linear->in = request->inputs[0];
    linear->out = request->output;
    linear->weight = request->params[0];
    linear->bias = request->params[1];
    if (request->training) {
        const size_t blocks = (size_t)lanes_blocks(request->batch);
        linear->op.saved_bytes = args->relu ? lanes_bits_bytes(blocks * (size_t)args->outputs) : 0;
        linear->op.scratch_bytes = blocks * LANES * (PANEL + (args->relu ? (size_t)args->outputs : 0)) * sizeof(float);
    }
    *op = &linear->op;
    return 0;
}
