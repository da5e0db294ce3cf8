/* See session.h. */
#include "tests/session.h"

#include "base/door.h"
#include "cpu/cpu.h"
#include "nets/layers.h"
#include "nets/network.h"
#include "tests/tests.h"
#include "trainer/choose.h"
#include "trainer/message.h"
#include "trainer/server.h"
#include "trainer/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const own_settings[] = {
    "data.dataset=synthetic", "data.limit=400", "data.test_limit=20", "data.eval_batch=8", "data.batch=5", "data.loader_threads=2",
    "net.name=small", "train.algorithm=ssgd", "train.iterations=50", "train.seed=7", "train.bucket_kib=1", "train.evaluate_every=0", "train.log_every=1",
    "optimizer.lr=0.05", "optimizer.weight_decay=0.01", "schedule.kind=cosine", "async.order=round-robin",
    "workers.count=2", "workers.pin=false", "workers.stuck_after_s=30", "cpu.backend=lanes", "checkpoint.every=off", NULL,
};

void session_set(struct session *session, const char *format, ...)
{
    char text[512];
    va_list values;
    struct error error = { 0 };
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    if (config_set(&session->config, text, &error))
        fail_msg("%s", error.text);
}

static void set_all(struct session *session, const char *const *settings)
{
    for (int i = 0; settings && settings[i]; i++)
        session_set(session, "%s", settings[i]);
}

static void open_data(struct session *session)
{
    const struct config *config = &session->config;
    struct dataset_request request = { .name = config->data.dataset, .split = SPLIT_TRAIN, .limit = config->data.limit, .seed = (uint64_t)config->train.seed, .side = (int)config->data.size };
    assert_int_equal(dataset_open(&session->train, &request, &session->error), 0);
    request.split = SPLIT_TEST;
    request.limit = config->data.test_limit;
    assert_int_equal(dataset_open(&session->test, &request, &session->error), 0);
}

static void build_small(struct graph *n, const struct network_request *request)
{
    graph_init(n, "small", &request->input);
    loss(n, linear(n, relu(n, linear(n, maxpool(n, 0, 4, 4), "fc1", 64)), "fc2", request->classes), 0);
}

static void build_normed(struct graph *n, const struct network_request *request)
{
    graph_init(n, "normed", &request->input);
    int x = conv(n, maxpool(n, 0, 4, 4), "conv1", &(struct conv_args){ .filters = 6, .size = 3, .stride = 2, .no_bias = true });
    loss(n, linear(n, dropout(n, relu(n, batchnorm(n, x, "bn1")), 0.2f), "fc1", request->classes), 0);
}

static void build_graph(struct session *session)
{
    const struct dataset *data = &session->train;
    const struct network_request request = { .input = { .c = data->channels, .h = data->height, .w = data->width,
        .mean = { 0.1f }, .std = { 0.3f } }, .classes = data->classes };
    const char *name = session->config.net.name;
    bool small = strcmp(name, "small") == 0;
    if (!small && strcmp(name, "normed") != 0) {
        assert_int_equal(network_build(&session->graph, name, &request, &session->error), 0);
        return;
    }
    (small ? build_small : build_normed)(&session->graph, &request);
    assert_int_equal(graph_finish(&session->graph, &session->error), 0);
}

/* "cuda:0,1" for three workers: 0, 1, 0. */
static void deal(struct session *session, const char *gpus)
{
    char *devices = session->config.workers.devices;
    size_t used = (size_t)snprintf(devices, CONFIG_TEXT, "cuda:"), n = strlen(gpus);
    assert_true(strncmp(gpus, "cuda:", 5) == 0);
    for (size_t k = 0; k < (size_t)session->config.workers.count; k++)
        used += (size_t)snprintf(devices + used, CONFIG_TEXT - used, "%s%c", k ? "," : "", gpus[5 + 2 * k % (n - 4)]);
    assert_true(used < CONFIG_TEXT);
}

static void settle_devices(struct session *session)
{
    struct config *config = &session->config;
    struct error why = { 0 };
    const char *everywhere = getenv("ONESTEP_SESSIONS");
    bool fast = strcmp(config->cpu.backend, "lanes") == 0;
    if (everywhere && fast && strcmp(config->workers.devices, "auto") == 0)
        deal(session, everywhere);
    if (strncmp(config->workers.devices, "cuda", 4) != 0)
        snprintf(config->workers.devices, CONFIG_TEXT, "cpu");
    if (devices_read(&session->devices, config, choose_gpus(&why), "test", &session->error))
        fail_msg("%s; %s", session->error.text, why.text);
    if (session->devices.n)
        config->workers.count = session->devices.n;
    if (config->train.deterministic == AUTOMATIC)
        config->train.deterministic = 1;
    choose_gpu_settings(config, &session->devices);
    session->backend = session->devices.n ? gpu_backend : fast ? &backend_lanes : &backend_reference;
}

void session_open(struct session *session, const char *const *settings)
{
    memset(session, 0, sizeof *session);
    session->ask_stop_at = -1;
    config_defaults(&session->config);
    set_all(session, own_settings);
    set_all(session, settings);
    if (config_check(&session->config, "test", &session->error))
        fail_msg("%s", session->error.text);
    settle_devices(session);
    open_data(session);
    build_graph(session);
}

void session_close(struct session *session)
{
    run_close(session->run);
    graph_release(&session->graph);
    dataset_close(&session->train);
    dataset_close(&session->test);
    free(session->weights);
}

/* What main does with one: here it may stay in memory, and a later run goes on from it. */
static void take_snapshot(struct session *session)
{
    struct snapshot *snapshot = session->run->snapshot;
    if (session->keep_snapshot)
        session->keep_snapshot(session, snapshot);
    atomic_store_explicit(&snapshot->busy, false, memory_order_release);
    session->run->transport.calls->wake(&session->run->transport, run_server_end(session->run));
}

/* Takes the server's reports until it has ended. */
static void follow(struct session *session)
{
    struct run *run = session->run;
    struct transport *transport = &run->transport;
    struct message report;
    for (;;) {
        if (!transport->calls->receive(transport, run_main_end(run), &report)) {
            transport->calls->wait(transport, run_main_end(run), door_now_ns() + 100000000);
            continue;
        }
        if (report.kind == REPORT_FINISHED)
            return;
        if (report.kind == REPORT_SNAPSHOT)
            take_snapshot(session);
        if (report.kind == REPORT_STEP && report.iteration == session->ask_stop_at) {
            door_sleep_until_ns(door_now_ns() + session->ask_after_ns);
            run_ask_stop(run);
        }
        if (report.kind == REPORT_EVALUATION) {
            assert_in_range(report.iteration, 0, SESSION_ITERATIONS);
            session->test_loss[report.iteration] = bits_double(report.value);
            session->evaluations++;
        }
    }
}

int session_run(struct session *session)
{
    struct run_request request = {
        .config = &session->config, .backend = session->backend, .graph = &session->graph, .train = &session->train, .test = &session->test,
        .k = (int)session->config.workers.count, .resume = session->prepare_resume != NULL,
        .processors = session->processors, .crowded = session->processors != NULL,
    };
    if (session->devices.n) {
        request.processors = NULL;
        request.crowded = false;
        request.places = session->devices.places;
        request.n_server_places = session->devices.n_server;
        request.server_backend = session->devices.n_server ? NULL : host_backend;
        memcpy(request.server_places, session->devices.server, sizeof request.server_places);
    }
    if (run_open(&session->run, &request, &session->error))
        return -1;
    if (session->prepare_resume) {
        session->prepare_resume(session, session->run->snapshot);
        if (session->error.code || run_check_resume(session->run, "kept", &session->error) || run_resume(session->run, &session->error))
            return -1;
    }
    int64_t allocations = door_calls(DOOR_ALLOCATE);
    if (run_start(session->run, &session->error))
        return -1;
    if (session->ask_stop_at == 0)
        run_ask_stop(session->run);
    if (session->busy_ns) {
        struct transport *transport = &session->run->transport;
        transport->calls->wait(transport, run_main_end(session->run), INT64_MAX); /* until the first report is there */
        door_sleep_until_ns(door_now_ns() + session->busy_ns);
        halt_raise(session->run, &(struct error){ EXIT_OUTPUT, "called off" });
        door_sleep_until_ns(door_now_ns() + session->busy_ns);
    }
    follow(session);
    int result = run_join(session->run, &session->error);
    for (int k = 0; k < session->run->k && result == 0; k++)
        result = session->backend->sync(session->run->workers[k].device, &session->error);
    session->allocations = door_calls(DOOR_ALLOCATE) - allocations;
    return result;
}

void session_train(struct session *session)
{
    if (session_run(session))
        fail_msg("%s", session->error.text);
}

const float *session_weights(struct session *session)
{
    if (!session->weights)
        session->weights = malloc(session_floats(session) * sizeof *session->weights);
    assert_non_null(session->weights);
    assert_int_equal(run_final_weights(session->run, session->weights, &session->error), 0);
    return session->weights;
}

size_t session_floats(const struct session *session) { return session->graph.params.total; }

float *session_trained(const char *const *settings)
{
    struct session session;
    session_open(&session, settings);
    session_train(&session);
    float *copy = malloc(session_floats(&session) * sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, session_weights(&session), session_floats(&session) * sizeof *copy);
    session_close(&session);
    return copy;
}

size_t session_length(const char *const *settings)
{
    struct session session;
    session_open(&session, settings);
    size_t n = session_floats(&session);
    session_close(&session);
    return n;
}

bool session_same(const char *const *first, const char *const *second)
{
    size_t n = session_length(first);
    assert_int_equal(session_length(second), n);
    float *a = session_trained(first), *b = session_trained(second);
    bool equal = memcmp(a, b, n * sizeof *a) == 0;
    free(a);
    free(b);
    return equal;
}

struct settings settings_join(const char *const *first, const char *const *second)
{
    struct settings joined = { { NULL } };
    int n = 0;
    for (const char *const *list = first; list; list = list == first && second != first ? second : NULL)
        for (int i = 0; list[i]; i++) {
            assert_true(n < SETTINGS_MOST);
            joined.rows[n++] = list[i];
        }
    return joined;
}
