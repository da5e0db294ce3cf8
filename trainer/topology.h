/* Cores: how many there are for us, and where each worker's thread should run (hwloc). */
#ifndef TRAINER_TOPOLOGY_H
#define TRAINER_TOPOLOGY_H

#include <stddef.h>

struct error;

struct topology {
    int cores;            /* that this process may use */
    int threads;          /* and their hardware threads, as many or more */
    int fast;             /* the first of them, faster than the others; all where they are alike or hwloc does not know */
    int processors[1024]; /* one processor of each of them, the fast ones first, otherwise in hwloc's order */
    char model[128];      /* of the CPU */
    char identity[256];   /* and more of it: what a choice by measuring depends on */
    long l2_kib, l3_kib;  /* of one cache; 0: unknown */
};

/* Where hwloc is told to read another machine (HWLOC_XMLFILE, HWLOC_SYNTHETIC), that one. EXIT_DEVICE. */
int topology_read(struct topology *topology, struct error *error);

/* Binds the calling thread. Failing is no error: it only runs slower. */
void topology_pin(int processor);


/* Which cores `workers` threads, each pinned to one, run on: "2 of 8 fast cores", or "8 fast cores and 2 of 16 slower
 * ones"; "" where all cores are alike. */
void topology_describe(const struct topology *topology, int workers, char *text, size_t bytes);

#endif
