/* See summary.h. */
#include "trainer/summary.h"

#include "base/text.h"
#include "trainer/progress.h"
#include "trainer/server.h"
#include "trainer/worker.h"

#include <sys/resource.h>

void summary_emulated(const struct config *config, char *text, size_t bytes)
{
    const struct real_list *slowdown = &config->workers.slowdown;
    bool straggles = config->workers.jitter > 0;
    size_t used = 0;
    *text = 0;
    for (int i = 0; i < slowdown->n; i++)
        straggles |= slowdown->values[i] > 1;
    if (config->link.bandwidth_gbps > 0) {
        int n = snprintf(text, bytes, "a link of %g Gb/s, %g us, %s duplex", config->link.bandwidth_gbps, config->link.latency_us, config->link.duplex == DUPLEX_FULL ? "full" : "half");
        used = n < (int)bytes ? (size_t)n : bytes - 1;
    }
    if (straggles)
        snprintf(text + used, bytes - used, "%sstragglers", used ? "; " : "");
}

/* What the host does for a step: a GPU that waits for it is idle. */
static void print_processor_time(FILE *to, const struct run *run)
{
    double ns = 0, steps = 0;
    for (int k = 0; k < run->k; k++) {
        ns += (double)run->workers[k].cpu_ns;
        steps += (double)run->workers[k].iteration;
    }
    fprintf(to, "  processor time of a worker's thread: %.1f us a step, evaluation included\n", steps > 0 ? ns / steps / 1e3 : 0);
}

/* Shares of the workers' time outside evaluation. */
static void print_phases(FILE *to, const struct run *run)
{
    bool enqueues = run->backend->enqueues;
    const struct { enum phase phase; const char *name; } rows[] = {
        { PHASE_COMPUTE, enqueues ? "enqueueing" : "compute" }, { PHASE_WAIT_DEVICE, "waiting for the GPU" }, { PHASE_LOCAL, "local update" }, { PHASE_WAIT_WEIGHTS, "waiting for weights" }, { PHASE_WAIT_DATA, "waiting for data" },
        { PHASE_EMULATED, "straggling (emulated)" },
    };
    double total = 0, times[PHASES] = { 0 };
    for (int k = 0; k < run->k; k++)
        for (int phase = 0; phase < PHASES; phase++)
            times[phase] += (double)run->workers[k].trace.total_ns[phase];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        total += times[rows[i].phase];
    fprintf(to, "\nwhere the workers' time went\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (times[rows[i].phase] > 0 || (rows[i].phase != PHASE_EMULATED && rows[i].phase != PHASE_WAIT_DEVICE))
            fprintf(to, "  %-22s %6.2f %%\n", rows[i].name, total > 0 ? 100 * times[rows[i].phase] / total : 0);
    double seconds = total / run->k / 1e9;
    fprintf(to, "  server: summing and updating %.2f %% of one core\n", seconds > 0 ? (double)run->server->trace.total_ns[PHASE_UPDATE] / 1e7 / seconds : 0);
    if (enqueues)
        print_processor_time(to, run);
    if (run->server->link.on && run->server->tally.iterations)
        fprintf(to, "  emulated link: occupied %.3f ms an iteration (T_x)\n", (double)link_occupied_ns(&run->server->link) / 1e6 / (double)run->server->tally.iterations);
}

static void print_staleness(FILE *to, const struct run *run)
{
    struct ledger all = run->server->ledger;
    int64_t total = 0;
    for (int bin = 0; bin < LEDGER_BINS; bin++) {
        for (int k = 0; k < run->k; k++)
            all.count[bin] += run->workers[k].ledger.count[bin];
        total += all.count[bin];
    }
    fprintf(to, "\nstaleness seen (buckets)\n");
    for (int bin = 0; bin < LEDGER_BINS; bin++)
        if (all.count[bin]) {
            char number[32];
            fprintf(to, "  %d%s %12s  %6.2f %%\n", bin, bin == LEDGER_BINS - 1 ? "+" : " ", grouped(all.count[bin], number), 100 * (double)all.count[bin] / (double)total);
        }
}

static void print_memory(FILE *to, const struct run *run)
{
    struct rusage usage;
    struct run_memory memory = run_memory(run);
    const double mib = 1 << 20;
    getrusage(RUSAGE_SELF, &usage);
    fprintf(to, "\nmemory: peak resident %.0f MiB\n", (double)usage.ru_maxrss / 1024);
    text_print(to, 8, "", "weights, gradients and slots %.1f, activations %.1f%s, batches %.1f MiB",
               (double)memory.vectors / mib, (double)memory.plans / mib,
               run->backend->host_memory ? "" : " (most of them on the GPUs)", (double)memory.loaders / mib);
}

static void print_loss_scale(FILE *to, const struct run *run)
{
    const struct loss_scale *scales = run->server->clip.scales;
    int64_t skipped = 0, judged = 0, least = scales[0].exponent, most = least;
    if (!loss_scale_is_used(&run->config))
        return;
    for (int k = 0; k < (run->algorithm->synchronous ? 1 : run->k); k++) {
        skipped += scales[k].skipped;
        judged += scales[k].judged;
        least = scales[k].exponent < least ? scales[k].exponent : least;
        most = scales[k].exponent > most ? scales[k].exponent : most;
    }
    fprintf(to, "\nfp16: loss scale %g", (double)loss_scale_value(least));
    if (most > least)
        fprintf(to, " to %g", (double)loss_scale_value(most));
    fprintf(to, "; %lld of %lld gradients overflowed and were skipped\n", (long long)skipped, (long long)judged);
}

void summary_print(FILE *to, const struct run *run)
{
    char emulated[256];
    summary_emulated(&run->config, emulated, sizeof emulated);
    if (*emulated)
        fprintf(to, "\nemulated: %s\n", emulated);
    print_loss_scale(to, run);
    print_phases(to, run);
    print_staleness(to, run);
    print_memory(to, run);
}
