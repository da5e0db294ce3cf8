/* Convolution, then pooling, in one operation: for the pools that the convolution kernel does not take from its registers. What lies between
 * is kept from forward to backward like any other state; its gradient lives in scratch. */
#include "cpu/lanes_chain.h"

#include "base/sizes.h"
#include "cpu/lanes.h"
#include "cpu/lanes_conv.h"

struct chain {
    struct op op;
    struct op *conv, *pool;
    struct tensor between;
    bool training;
};

enum { ALIGNMENT = 64 };

static void *after(void *block, size_t bytes) { return (char *)block + round_up(bytes, ALIGNMENT); }

/* The parts share what the plan has bound to the whole: saved = conv's, pool's, in training the data between; scratch = both operations', the
 * gradient between, and in evaluation, where nothing is saved, the data. */
static void bind(struct chain *chain)
{
    const size_t scratch = size_max(chain->conv->scratch_bytes, chain->pool->scratch_bytes);
    void *between = after(chain->op.scratch, scratch);
    chain->conv->scratch = chain->pool->scratch = chain->op.scratch;
    chain->between.gradient = chain->training ? between : NULL;
    chain->conv->saved = chain->op.saved;
    chain->pool->saved = after(chain->op.saved, chain->conv->saved_bytes);
    chain->between.data = chain->training ? after(chain->pool->saved, chain->pool->saved_bytes) : between;
}

static int forward(struct op *op, const struct step *step, struct error *error)
{
    struct chain *chain = (struct chain *)op;
    bind(chain);
    if (chain->conv->calls->forward(chain->conv, step, error))
        return -1;
    return chain->pool->calls->forward(chain->pool, step, error);
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    struct chain *chain = (struct chain *)op;
    bind(chain);
    if (chain->pool->calls->backward(chain->pool, step, error))
        return -1;
    return chain->conv->calls->backward(chain->conv, step, error);
}

static void chain_free(struct op *op)
{
    struct chain *chain = (struct chain *)op;
    if (chain->conv)
        chain->conv->calls->free(chain->conv);
    if (chain->pool)
        chain->pool->calls->free(chain->pool);
    lanes_op_free(op);
}

static const struct op_calls calls = { .forward = forward, .backward = backward, .free = chain_free };

int lanes_conv_then_pool(struct op **op, const struct op_request *request, const struct conv_args *args, struct error *error)
{
    struct chain *chain = lanes_op_new(sizeof *chain, &calls, request, error);
    if (!chain)
        return -1;
    struct conv_args plain = *args;
    plain.pool = (struct pool_args){ 0 };
    chain->training = request->training;
    chain->between.shape = lanes_conv_map(request->inputs[0]->shape, args);
    chain->between.batch = request->batch;
    struct op_request to_between = *request, from_between = *request;
    to_between.output = &chain->between;
    from_between.inputs[0] = &chain->between;
    from_between.want_gradient[0] = true;
    if (lanes_conv_plain(&chain->conv, &to_between, &plain, error) || lanes_pool(&chain->pool, &from_between, &args->pool, error)) {
        chain_free(&chain->op);
        return -1;
    }
    const size_t scratch = size_max(chain->conv->scratch_bytes, chain->pool->scratch_bytes), between = chain->between.bytes;
    chain->op.scratch_bytes = round_up(scratch, ALIGNMENT) + between;
    if (request->training)
        chain->op.saved_bytes = round_up(chain->conv->saved_bytes, ALIGNMENT) + round_up(chain->pool->saved_bytes, ALIGNMENT) + between;
    *op = &chain->op;
    return 0;
}
