/* See test_pass.h. The threads take batches in turn; each counts its own confusion matrix, and whole numbers add up to the same in any order. */
#include "trainer/test_pass.h"

#include "base/door.h"
#include "base/thread.h"
#include "data/loader.h"
#include "trainer/topology.h"

#include <stdatomic.h>
#include <string.h>

struct pass {
    const struct model *model;
    struct loader *loader;
    int64_t batches;
    _Atomic int64_t next;        /* batch to take */
    struct step_result *results; /* by batch; written by whoever took it */
    struct examiner *examiners;
    int threads, started;
};

/* A thread. */
struct examiner {
    struct pass *pass;
    int processor;
    pthread_t thread;
    struct model_runner runner;
    struct confusion confusion;
    struct error error;
};

/* The first of equal maxima, as the loss counts. */
static int best_class(const float *logits, int classes)
{
    int best = 0;
    for (int c = 1; c < classes; c++)
        if (logits[c] > logits[best])
            best = c;
    return best;
}

static int examine(struct examiner *examiner, int64_t number)
{
    struct pass *pass = examiner->pass;
    const struct batch *batch;
    if (loader_take(pass->loader, number, &batch, NULL, &examiner->error))
        return -1;
    int failed = model_run(&examiner->runner, batch->pixels, batch->labels, batch->index, batch->n, &pass->results[number], &examiner->error), classes = examiner->confusion.classes;
    for (int i = 0; i < batch->n && !failed; i++)
        confusion_row(&examiner->confusion, batch->labels[i])[best_class(examiner->runner.logits + (size_t)i * (size_t)classes, classes)]++;
    loader_give_back(pass->loader, batch);
    return failed;
}

static void *examine_all(void *context)
{
    struct examiner *examiner = context;
    struct pass *pass = examiner->pass;
    if (examiner->processor >= 0)
        topology_pin(examiner->processor);
    for (int64_t number; (number = atomic_fetch_add_explicit(&pass->next, 1, memory_order_relaxed)) < pass->batches;)
        if (examine(examiner, number)) {
            loader_stop(pass->loader); /* ends the others too */
            break;
        }
    return NULL;
}

static int pass_open(struct pass *pass, const struct dataset *dataset, const int *processors, struct error *error)
{
    const struct model *model = pass->model;
    struct loader_plan plan = { .dataset = dataset, .batch = (int)model->about.config.data.eval_batch, .workers = 1, .threads = pass->threads, .depth = 2 * pass->threads };
    void *results, *examiners;
    pass->batches = plan.end = loader_batches_per_epoch(&plan);
    if (pass->threads > pass->batches)
        pass->threads = (int)pass->batches;
    if (door_allocate(&results, (size_t)pass->batches * sizeof *pass->results, "evaluation results", error))
        return -1;
    pass->results = results;
    if (door_allocate(&examiners, (size_t)pass->threads * sizeof *pass->examiners, "evaluating threads", error))
        return -1;
    pass->examiners = examiners;
    for (int i = 0; i < pass->threads; i++) {
        struct examiner *examiner = &pass->examiners[i];
        *examiner = (struct examiner){ .pass = pass, .processor = processors[i] };
        if (model_runner_open(&examiner->runner, model, plan.batch, examiner->processor, error) ||
            confusion_open(&examiner->confusion, model->about.classes, model->about.class_names, error))
            return -1;
    }
    return loader_open(&pass->loader, &plan, error);
}

static int pass_run(struct pass *pass, struct error *error)
{
    int result = 0;
    for (; pass->started < pass->threads && result == 0; pass->started += result == 0) {
        struct examiner *examiner = &pass->examiners[pass->started];
        result = thread_start(&examiner->thread, "evaluate", examine_all, examiner, error);
    }
    if (result)
        loader_stop(pass->loader);
    for (int i = 0; i < pass->started; i++)
        thread_join(pass->examiners[i].thread);
    for (int i = 0; i < pass->started && result == 0; i++)
        if (pass->examiners[i].error.code)
            result = fail(error, pass->examiners[i].error.code, "%s", pass->examiners[i].error.text);
    return result;
}

static void sum(const struct pass *pass, int64_t samples, struct evaluation_total *total, struct confusion *confusion)
{
    *total = (struct evaluation_total){ .samples = samples };
    for (int64_t i = 0; i < pass->batches; i++) {
        total->loss += pass->results[i].loss_sum;
        total->correct += pass->results[i].correct;
        total->correct5 += pass->results[i].correct5;
    }
    total->loss /= (double)samples;
    for (int i = 0; i < pass->threads; i++)
        for (int label = 0; label < confusion->classes; label++)
            for (int c = 0; c < confusion->classes; c++)
                confusion_row(confusion, label)[c] += confusion_row(&pass->examiners[i].confusion, label)[c];
}

static void pass_close(struct pass *pass)
{
    for (int i = 0; pass->examiners && i < pass->threads; i++) {
        model_runner_close(&pass->examiners[i].runner);
        confusion_release(&pass->examiners[i].confusion);
    }
    loader_close(pass->loader);
    door_free(pass->examiners);
    door_free(pass->results);
}

int test_pass(const struct model *model, const struct dataset *dataset, int threads, const int *processors, struct evaluation_total *total, struct confusion *confusion,
              struct error *error)
{
    struct pass pass = { .model = model, .threads = threads };
    int failed = pass_open(&pass, dataset, processors, error) || pass_run(&pass, error);
    if (!failed)
        sum(&pass, dataset->n, total, confusion);
    pass_close(&pass);
    return failed ? -1 : 0;
}
