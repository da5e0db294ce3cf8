/* What a run is told: one struct, one table that describes it.
 *
 * The table (config_table.c) makes the parser, `onestep config --help`, docs/config.md and the resolved config written into every run's folder. A
 * config is an INI file; `--set section.key=value` overrides any of it. */
#ifndef TRAINER_CONFIG_H
#define TRAINER_CONFIG_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { CONFIG_TEXT = 160, CONFIG_LIST = 64 };

enum algorithm_choice { ALGORITHM_SSGD, ALGORITHM_ASGD, ALGORITHM_DCASGD, ALGORITHM_ODSGD };
enum local_update { LOCAL_NONE, LOCAL_SGD, LOCAL_DC, LOCAL_ADC, LOCAL_PREDICT };
enum dc_backup { BACKUP_BASE, BACKUP_LOCAL };
enum async_order { ORDER_FREE, ORDER_ROUND_ROBIN, ORDER_REPLAY };
enum schedule_kind { SCHEDULE_CONSTANT, SCHEDULE_STEP, SCHEDULE_COSINE, SCHEDULE_ONE_CYCLE };
enum duplex { DUPLEX_FULL, DUPLEX_HALF };
enum augment_on { AUGMENT_AUTO, AUGMENT_LOADER, AUGMENT_DEVICE };
enum reduce { REDUCE_SERVER, REDUCE_NCCL };
enum bn_stats { BN_STATS_MEAN, BN_STATS_WORKER0 };
enum automatic { AUTOMATIC = -1 }; /* of a switch that may be left to the program */

struct real_list { int n; double values[CONFIG_LIST]; };

struct config {
    struct {
        char dataset[CONFIG_TEXT], path[CONFIG_TEXT];
        int64_t size, limit, test_limit, batch, eval_batch;
        struct real_list mean, std;
        bool shuffle, same_for_all, flip;
        int64_t crop_pad, cutout;
        int augment_on; /* enum augment_on */
        int64_t loader_threads, prefetch;
    } data;
    struct {
        char name[CONFIG_TEXT];
        double dropout, label_smoothing;
        int shortcut, stem; /* enum shortcut_choice, enum stem_choice (nets/network.h) */
        bool zero_init;
    } net;
    struct {
        int algorithm; /* enum algorithm_choice */
        int64_t epochs, iterations, seed;
        int deterministic; /* AUTOMATIC, 0 or 1 */
        char init[CONFIG_TEXT];
        int64_t log_every, bucket_kib;
        double evaluate_every;
        int bn_stats;
        double ema_decay; /* 0: off */
        int precision; /* AUTOMATIC or enum precision (nets/backend.h) */
        double loss_scale;
        int64_t loss_scale_every; /* 0: it stays */
    } train;
    struct {
        double lr, momentum, weight_decay;
        bool nesterov, decay_all;
        double clip_norm; /* 0: off */
    } optimizer;
    struct {
        int kind; /* enum schedule_kind */
        double warmup_epochs, gamma, final;
        double pct_start, div_factor, final_div_factor;
        struct real_list steps;
    } schedule;
    struct {
        int64_t warmup;
        int local_update; /* enum local_update */
        double lr_local, momentum_local, lambda, ms_decay; /* negative: the rule's own default */
        int dc_backup;
    } odsgd;
    struct {
        double scale, server_momentum; /* negative: 1/K, and the optimizer's momentum */
        int order;                     /* enum async_order */
        char record[CONFIG_TEXT], replay[CONFIG_TEXT];
        double lambda, ms_decay;
        bool adaptive;
    } async;
    struct {
        char devices[CONFIG_TEXT], server[CONFIG_TEXT];
        int64_t count;
        int reduce; /* enum reduce */
        struct real_list slowdown;
        double jitter;
        bool pin;
        int64_t stuck_after_s;
    } workers;
    struct {
        bool graphs, tf32;
        int64_t workspace_mib;
    } cuda;
    struct {
        char backend[CONFIG_TEXT];
        int isa; /* AUTOMATIC or enum isa (cpu/isa.h) */
    } cpu;
    struct {
        double bandwidth_gbps, latency_us;
        int duplex;
    } link;
    struct {
        char every[CONFIG_TEXT]; /* interval.h */
        int64_t keep;
    } checkpoint;
    struct {
        char dir[CONFIG_TEXT];
        bool overwrite;
        int64_t trace;
    } output;
};

/* All defaults; keys without one are empty. */
void config_defaults(struct config *config);

/* Reads an INI file over it. EXIT_USAGE with file, line, rule and what was found; EXIT_INPUT when the file cannot be read. */
int config_read(struct config *config, const char *path, struct error *error);

/* The same from memory; `name` stands for the file in messages. */
int config_parse(struct config *config, const char *name, const char *text, size_t bytes, struct error *error);

/* "section.key=value", over what a file said. The last word counts: where two keys exclude each other, the other one
 * is taken back (train.epochs and train.iterations). */
int config_set(struct config *config, const char *assignment, struct error *error);

/* The same in parts; `place` says in messages where the value comes from. */
int config_set_key(struct config *config, const char *place, const char *section, const char *key, const char *value, struct error *error);

/* Rules between keys, and keys that must be set. `name` stands for the config in messages. */
int config_check(const struct config *config, const char *name, struct error *error);

/* The whole config as an INI file that reads back to the same; returns its length, as snprintf does. */
size_t config_write(const struct config *config, char *text, size_t bytes);

/* Every key with type, range, default and help: for a terminal, or as a Markdown table (docs/config.md). */
void config_help(FILE *to, bool markdown);

/* The word that a choice stands for: ("train", "algorithm", ALGORITHM_SSGD) is "ssgd". */
void config_word(const char *section, const char *key, int value, char *text, size_t bytes);

#endif
