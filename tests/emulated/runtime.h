/* Inside the emulated runtime. Host threads append work to streams; each stream has a thread that runs it in order. What orders streams among each other and
 * the host is a record: something that becomes done once. Nothing else may order them by accident, or ThreadSanitizer would miss what a program forgot to order: the
 * stream's thread gives nothing back to those that append, and tables are read under locks for reading. */
#ifndef TESTS_EMULATED_RUNTIME_H
#define TESTS_EMULATED_RUNTIME_H

#include "tests/emulated/emulated.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#if CUDART_VERSION < 13000
#error "the emulation has the signatures of CUDA 13"
#endif

enum { EMULATED_GPUS = 8, EMULATED_TIPS = 64 };

/* ---- every call (call.c, fault.c) ---- */

enum emulated_call {
    CALL_SAFE,
    CALL_UNSAFE, /* not while a capture is going on, as cudaThreadExchangeStreamCaptureMode says */
    CALL_ALWAYS, /* works on a device that has failed */
};

/* At the head of a function of the runtime: whether it is to fail at once. */
cudaError_t emulated_enter(const char *function, enum emulated_call call);
/* At its end: remembers an error for cudaGetLastError. */
cudaError_t emulated_leave(cudaError_t error);

/* ---- records (record.c): counted references ---- */

struct record;
struct record *emulated_record_new(void);
struct record *emulated_record_keep(struct record *record);
void emulated_record_drop(struct record *record); /* NULL is none */
void emulated_record_complete(struct record *record);
bool emulated_record_done(const struct record *record);
void emulated_record_wait(const struct record *record);
int64_t emulated_record_ns(const struct record *record); /* when it was completed */

/* ---- streams (stream.c) ---- */

struct capture;
struct work;

/* Nodes that whatever comes next in a capturing stream depends on. */
struct tips { int n, node[EMULATED_TIPS]; };

struct CUstream_st {
    int device, priority;
    bool legacy;   /* the device's stream 0 */
    bool blocking; /* ordered with stream 0 */
    pthread_t thread;
    pthread_mutex_t append;    /* guards tail, appended */
    struct work *first, *tail; /* first: for its thread's start */
    uint64_t appended;
    atomic_uint posted;        /* counts as appended does; the thread sleeps on it */
    _Atomic uint64_t finished;
    struct CUstream_st *next;  /* of the device's, under its lock */
    struct capture *capture;   /* that it takes part in, or NULL; used by whoever uses the stream */
    int lane;
    struct tips tips;
};

/* NULL: the machine has no thread left. */
struct CUstream_st *emulated_stream_open(int device, bool legacy, bool blocking, int priority);
void emulated_stream_close(struct CUstream_st *stream); /* waits for its work */
/* The stream that a handle means; opens stream 0 of the current device. NULL: none. */
struct CUstream_st *emulated_stream(cudaStream_t handle);
/* Appends, whether it captures or not. `always`: also on a device that has failed. */
void emulated_stream_append(struct CUstream_st *stream, void (*run)(void *context), const void *context, size_t bytes, bool always);
void emulated_stream_complete(struct CUstream_st *stream, struct record *record);
void emulated_stream_await(struct CUstream_st *stream, struct record *record);
void emulated_stream_drain(struct CUstream_st *stream);
bool emulated_stream_idle(struct CUstream_st *stream);
/* The stream whose work this thread is running, or NULL. */
struct CUstream_st *emulated_stream_running(void);

/* Work that the host function calls: the calls of the runtime that it makes are refused. */
extern _Thread_local bool emulated_in_host_function;

/* ---- devices (device.c) ---- */

int emulated_gpus(void);
int emulated_current(void);
void emulated_device_add(struct CUstream_st *stream);
void emulated_device_remove(struct CUstream_st *stream);
void emulated_device_drain(int device);
struct CUstream_st *emulated_device_legacy(int device, bool open); /* NULL: not open yet */
void emulated_device_each(int device, void (*visit)(struct CUstream_st *stream, void *context), void *context);
bool emulated_device_sees(int device, int peer); /* itself, or a peer that has been enabled */
cudaError_t emulated_device_broken(int device);  /* 0: it works */
bool emulated_device_take(int device, size_t bytes); /* of its memory; false: not so much left */
void emulated_device_give(int device, size_t bytes);
bool emulated_corrupts(void); /* copies between devices */

/* ---- memory (memory.c) ---- */

struct emulated_block { const char *base; size_t bytes; int device; bool host; };
/* The block that an address lies in or ends; false: ordinary host memory. */
bool emulated_block(const void *address, struct emulated_block *block);
bool emulated_reaches_from(int device, const void *address, size_t bytes);

/* ---- captures and graphs (capture.c, graph.c) ---- */

enum node_kind { NODE_WORK, NODE_RECORD, NODE_WAIT };

struct CUgraphNode_st {
    enum node_kind kind;
    void (*run)(void *context);
    void *context;
    size_t bytes;
    cudaEvent_t event; /* of a record or a wait */
    int lane;          /* the number of the stream that captured it */
    bool published;    /* another lane depends on it */
    struct tips after;
};

struct CUgraph_st {
    atomic_int references;
    struct CUgraphNode_st **nodes; /* in an order that keeps dependencies */
    int n, room, lanes;
    int device[EMULATED_TIPS];     /* of each lane */
};

struct CUgraph_st *emulated_graph_new(void);
void emulated_graph_drop(struct CUgraph_st *graph);
/* The node's number; the context is copied. */
int emulated_graph_add(struct CUgraph_st *graph, struct CUgraphNode_st node);

/* 0, or why nothing can be appended to the stream's capture. */
cudaError_t emulated_capture_state(struct CUstream_st *stream);
cudaError_t emulated_capture_add(struct CUstream_st *stream, struct CUgraphNode_st node);
/* The stream's capture has been asked for something that cannot be captured: it is lost. Returns error. */
cudaError_t emulated_capture_lose(struct CUstream_st *stream, cudaError_t error);
/* Whether the calling thread may make potentially unsafe calls; loses the captures that forbid it. */
cudaError_t emulated_capture_unsafe(void);
/* A wait for what was captured: takes the stream into that capture. */
cudaError_t emulated_capture_join(struct CUstream_st *stream, struct capture *capture, uint64_t id, const struct tips *tips);
uint64_t emulated_capture_id(const struct capture *capture);
bool emulated_capture_on(int device, bool blocking_only);

/* ---- events (event.c) ---- */

/* A record of the event that the stream is to complete, from now on the newest. */
struct record *emulated_event_renew(cudaEvent_t event);
struct record *emulated_event_newest(cudaEvent_t event); /* a reference, or NULL: never recorded */

/* ---- the count of what lives (call.c) ---- */

enum emulated_kind { LIVE_DEVICE_BLOCKS, LIVE_HOST_BLOCKS, LIVE_STREAMS, LIVE_EVENTS, LIVE_GRAPHS, LIVE_KINDS };
void emulated_count(enum emulated_kind kind, int change);

/* ---- kernels (block.c) ---- */

/* The calling thread's fibers. */
void emulated_fibers_release(void);

#endif
