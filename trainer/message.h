/* What the threads say to each other. struct message is in base/ring.h; here is what its kinds mean. */
#ifndef TRAINER_MESSAGE_H
#define TRAINER_MESSAGE_H

#include "base/ring.h"

#include <string.h>

enum message_kind {
    MESSAGE_NONE, /* an empty place in a table */
    /* worker to server */
    MESSAGE_PUSH,      /* the gradient of (iteration, bucket), computed on `version`, is in the worker's push slot `slot`; value: the ticket; spare: 1 when the
                          worker's running statistics after this iteration are out too */
    MESSAGE_STEP,      /* loss of the iteration, before its first push: value: loss sum (a double's bits), spare: correct predictions; version: samples */
    MESSAGE_EVALUATED, /* the last batch of evaluation `value` is done */
    MESSAGE_TAKEN,     /* the worker's part of snapshot `value` is there; spare: the ticket of its boundary's iteration, when it has one, or -1 */
    MESSAGE_DONE,      /* nothing more will be pushed; `iteration` was not started */
    /* server to worker */
    MESSAGE_REPLY,     /* answers the push of (iteration, bucket) with W of `version`, in reply slot `slot`; value: when it has crossed the emulated link;
                          spare: the loss scale's exponent for the iteration that needs it */
    MESSAGE_FORECAST,  /* the same with P */
    MESSAGE_STOP,      /* start no iteration from `iteration` on */
    MESSAGE_GO,        /* the weights of evaluation `value` are ready; iteration: where the next one is */
    MESSAGE_SNAPSHOT,  /* take part in snapshot `value` on reaching `iteration` */
    MESSAGE_LEAVE,     /* the thread may end */
    /* server to main */
    /* those up to REPORT_EPOCH: in fp16, slot: the loss scale's exponent, bytes: iterations skipped */
    REPORT_PROGRESS,   /* `iteration` iterations are done; value, spare: mean loss and accuracy lately (doubles' bits) */
    REPORT_STEP,       /* iteration `iteration` (from 1): value: loss, spare: accuracy */
    REPORT_EPOCH,      /* after `iteration` iterations: value, spare: mean loss and accuracy of the epoch; sent_ns: training time so far; version: samples */
    REPORT_EVALUATION, /* after `iteration` iterations: value: mean loss, spare: correct, version: correct in the best five, bytes: samples, sent_ns: training time so far */
    REPORT_MARK,       /* a snapshot holds what was reported up to here; value: the iteration of the evaluation that is still to come */
    REPORT_SNAPSHOT,   /* the snapshot is complete, and main's until it sets `busy` false */
    REPORT_FINISHED,   /* the server has ended */
};

enum payload_encoding { ENCODING_FP32 };

static inline int64_t double_bits(double value)
{
    int64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline double bits_double(int64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#endif
