/* [workers] devices and server: which GPUs, or none, and how many workers on each. */
#ifndef TRAINER_DEVICES_H
#define TRAINER_DEVICES_H

#include "trainer/config.h"
#include "trainer/server.h"

/* n 0: the CPU. */
struct devices {
    int n;                                 /* workers */
    int places[WORKERS_MAX];               /* by worker: its GPU */
    int server[SHARDS_MAX], n_server;      /* GPUs of the server's vectors; none: the host's memory */
};

/* The words alone: "auto" is taken for one worker on each of `gpus` GPUs, or for as many as workers.count says, dealt out in turn. `name`: of the config, for messages. EXIT_USAGE. */
int devices_read(struct devices *devices, const struct config *config, int gpus, const char *name, struct error *error);

/* The words that say the same without "auto". */
void devices_write(const struct devices *devices, char *text, size_t bytes);

#endif
