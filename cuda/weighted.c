/* See weighted.h. */
#include "cuda/weighted.h"

#include "cuda/activations.h"
#include "cuda/status.h"

#include <stdio.h>
#include <string.h>

enum { ALIGNMENT = 256 };

static size_t rows_of(const struct tensor *tensor) { return (size_t)tensor->batch * (size_t)tensor->shape.h * (size_t)tensor->shape.w; }

void weighted_lay_out(struct weighted *weighted, size_t gradient_bytes, size_t forward_workspace, size_t backward_workspace)
{
    const struct op_request *request = &weighted->head.request;
    const size_t element = cuda_element_bytes(request->precision), k = (size_t)weighted->filters.k;
    struct op *op = &weighted->head.op;
    weighted->bias_at = round_up(filter_count(weighted->filters) * element, ALIGNMENT);
    weighted->zero_at = weighted->bias_at + round_up(k * element, ALIGNMENT);
    weighted->sums_at = round_up(gradient_bytes, ALIGNMENT);
    weighted->workspace_at = weighted->sums_at;
    if (request->training && request->params[1])
        weighted->workspace_at += round_up(cuda_bias_sums_bytes(rows_of(request->output), weighted->filters.k), ALIGNMENT);
    op->saved_bytes = weighted->zero_at + sizeof(float);
    op->scratch_bytes = size_max(forward_workspace, weighted->workspace_at + backward_workspace) + ALIGNMENT;
}

static void *saved(const struct weighted *weighted, size_t at) { return (char *)weighted->head.op.saved + at; }

/* A plan aligns scratch to 64. */
static void *scratch(const struct weighted *weighted, size_t at)
{
    return (void *)(((uintptr_t)weighted->head.op.scratch + at + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
}

void *weighted_bias(const struct weighted *weighted) { return saved(weighted, weighted->bias_at); }
const float *weighted_zero(const struct weighted *weighted) { return saved(weighted, weighted->zero_at); }
const float *weighted_factor(const struct weighted *weighted) { return &weighted->head.request.device->values->inverse_loss_scale; }
void *weighted_gradient(const struct weighted *weighted) { return scratch(weighted, 0); }
void *weighted_workspace(const struct weighted *weighted, bool backward) { return scratch(weighted, backward ? weighted->workspace_at : 0); }

int weighted_placed(const struct weighted *weighted, int result, struct error *error)
{
    char place[NAME_ROOM + 8];
    const char *name = weighted->head.request.params[0]->name, *dot = strrchr(name, '.');
    snprintf(place, sizeof place, "layer %.*s", dot ? (int)(dot - name) : (int)strlen(name), name);
    return result ? error_place(error, place) : 0;
}

static int check(const struct weighted *weighted, cudaError_t status, const char *doing, struct error *error)
{
    return weighted_placed(weighted, cuda_status(weighted->head.request.device->ordinal, status, doing, error), error);
}

/* Its weights, and its bias where the library adds it. */
static void list_packs(struct filter_packs *packs, const struct weighted *weighted, const struct step *step)
{
    const struct param *const *params = weighted->head.request.params;
    packs->rows[packs->n++] = (struct filter_pack){ weighted->head.op.saved, step->weights + params[0]->offset, weighted->filters, 0 };
    if (weighted->bias_fused)
        packs->rows[packs->n++] = (struct filter_pack){ weighted_bias(weighted), step->weights + params[1]->offset, { weighted->filters.k, 1, 1, 1 }, 0 };
}

/* By as few launches as there is room for in a kernel's parameters. */
int cuda_pack_all(struct op *const *ops, int n, const struct step *step, struct error *error)
{
    enum { MOST_OF_ONE = 2 };
    const struct op_request *request = &cuda_op_of(ops[0])->request;
    struct filter_packs packs = { .n = 0 };
    cuda_use(request->device);
    for (int i = 0; i < n; i++) {
        list_packs(&packs, (const struct weighted *)ops[i], step);
        if (i < n - 1 && packs.n + MOST_OF_ONE <= FILTER_PACKS)
            continue;
        if (cuda_try(request->device, cuda_launch_pack(request->device->stream, request->precision, &packs), "packing weights", error))
            return -1;
        packs.n = 0;
    }
    return 0;
}

int weighted_pack(struct op *op, const struct step *step, struct error *error) { return cuda_pack_all(&op, 1, step, error); }

int weighted_finish(const struct weighted *weighted, const struct step *step, struct error *error)
{
    const struct op_request *request = &weighted->head.request;
    const struct tensor *y = request->output;
    const float *bias = request->params[1] && !weighted->bias_fused ? step->weights + request->params[1]->offset : NULL;
    if (!bias && !weighted->relu)
        return 0;
    return check(weighted, cuda_launch_bias(request->device->stream, y->precision, y->data, rows_of(y), y->shape.c, bias, weighted->relu), "adding a bias", error);
}

int weighted_begin_back(const struct weighted *weighted, const struct step *step, struct error *error)
{
    const struct op_request *request = &weighted->head.request;
    const struct tensor *out = request->output;
    const void *y = weighted->relu ? out->data : NULL;
    const cudaStream_t stream = request->device->stream;
    cudaError_t status = cudaSuccess;
    if (request->params[1])
        status = cuda_launch_bias_back(stream, out->precision, step->gradient + request->params[1]->offset, out->gradient, y, rows_of(out), out->shape.c,
                                       scratch(weighted, weighted->sums_at), weighted_factor(weighted));
    else if (y)
        status = cuda_launch_relu_back(stream, out->precision, rows_of(out) * (size_t)out->shape.c, out->gradient, NULL, y, out->gradient);
    return check(weighted, status, "summing a bias's gradient", error);
}

int weighted_unpack(const struct weighted *weighted, const struct step *step, enum precision precision, struct error *error)
{
    const struct op_request *request = &weighted->head.request;
    float *gradient = step->gradient + request->params[0]->offset;
    cudaError_t status = cuda_launch_unpack(request->device->stream, precision, gradient, weighted_gradient(weighted), weighted->filters, weighted_factor(weighted));
    return check(weighted, status, "unpacking a gradient", error);
}
