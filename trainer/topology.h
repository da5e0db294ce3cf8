/* Cores: how many there are for us, and where each worker's thread should run (hwloc). */
#ifndef TRAINER_TOPOLOGY_H
#define TRAINER_TOPOLOGY_H

#include <stdbool.h>

struct error;

struct topology {
    int cores;            /* that this process may use */
    int processors[1024]; /* one processor of each of them, far apart first */
    char model[128];      /* of the CPU */
    long l2_kib, l3_kib;  /* of one cache; 0: unknown */
};

int topology_read(struct topology *topology, struct error *error);

/* Binds the calling thread. Failing is no error: it only runs slower. */
void topology_pin(int processor);

#endif
