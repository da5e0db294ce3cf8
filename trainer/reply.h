/* What a reply can carry. */
#ifndef TRAINER_REPLY_H
#define TRAINER_REPLY_H

enum reply_kind {
    REPLY_WEIGHTS,  /* W */
    REPLY_FORECAST, /* P (docs/algorithms.md section 6, `predict`) */
    REPLY_KINDS,
};

#endif
