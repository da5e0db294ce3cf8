/* What a run says before it begins: the network, and the start table. */
#include "trainer/training.h"

#include "base/text.h"
#include "trainer/choose.h"
#include "trainer/summary.h"

#include <stdio.h>
#include <string.h>

enum { COLUMN = 11 }; /* where the start table tells */

/* Where the workers run, and on what. */
static void print_workers(const struct training *training)
{
    const struct config *config = &training->config;
    char cores[64] = "", backend[128];
    bool pinned = !training->devices.n && training->processors[0] >= 0;
    if (pinned)
        topology_describe(&training->topology, (int)config->workers.count, cores, sizeof cores);
    text_print(stdout, COLUMN, "workers", "%lld of batch %lld, on %s%s", (long long)config->workers.count,
               (long long)config->data.batch, *cores ? "" : config->workers.devices, cores);
    struct choice choice = training->choice;
    bool resumed = training->resumption.asked && !training->devices.n;
    if (resumed && strcmp(choice.backend->name, training->resumption.backend) == 0)
        choice.source = CHOICE_KEPT;
    choose_describe(&choice, backend, sizeof backend);
    text_print(stdout, COLUMN, "backend", "%s", backend);
}

static void print_resumed(const struct training *training)
{
    char iteration[32];
    if (!training->resumption.asked)
        return;
    text_print(stdout, COLUMN, "resumed", "from iteration %s, %s", grouped(training->resumption.iteration, iteration),
               training->written.last);
    if (training->resumption.iteration == training->run->iterations)
        text_print(stdout, COLUMN, "",
                   "which is the run's last: nothing is left to train, and the results are written");
}

void training_print_start(const struct training *training)
{
    char emulated[256], algorithm[32], local[64] = "", word[32], train[32], test[32], length[32], epoch[32];
    const struct config *config = &training->config;
    config_word("train", "algorithm", config->train.algorithm, algorithm, sizeof algorithm);
    if (config->train.algorithm == ALGORITHM_ODSGD) {
        config_word("odsgd", "local_update", config->odsgd.local_update, word, sizeof word);
        snprintf(local, sizeof local, " (%s, after %lld iterations)", word, (long long)config->odsgd.warmup);
    }
    summary_emulated(config, emulated, sizeof emulated);
    graph_describe(&training->graph, stdout);
    putchar('\n');
    text_print(stdout, COLUMN, "algorithm", "%s%s", algorithm, local);
    print_workers(training);
    text_print(stdout, COLUMN, "data", "%s, %s training images, %s test images", config->data.dataset,
               grouped(training->train.n, train), grouped(training->test.n, test));
    text_print(stdout, COLUMN, "length", "%s iterations, %s an epoch; %d buckets",
               grouped(training->run->iterations, length), grouped(training->run->iterations_per_epoch, epoch),
               training->run->buckets.n);
    if (training->graph.stats.n)
        text_print(stdout, COLUMN, "bn_stats", "%s", config->train.bn_stats == BN_STATS_WORKER0
                   ? "worker0: evaluation uses worker 0's running statistics"
                   : "mean: evaluation uses the merge of the workers' running statistics");
    if (config->train.ema_decay > 0)
        text_print(stdout, COLUMN, "evaluated", "the weights' moving average, decay %g", config->train.ema_decay);
    if (*emulated)
        text_print(stdout, COLUMN, "emulated", "%s", emulated);
    print_resumed(training);
    text_print(stdout, COLUMN, "into", "%s", training->folder.path);
    putchar('\n');
    if (config->train.algorithm == ALGORITHM_ODSGD && config->odsgd.warmup >= training->run->iterations) {
        text_print(stdout, 0, "", "its warm-up of %lld iterations is as long as the run or longer: this is SSGD",
                   (long long)config->odsgd.warmup);
        putchar('\n');
    }
    fflush(stdout);
}
