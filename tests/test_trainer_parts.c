/* The trainer's small parts by themselves: buckets, the emulated link, the tally, the transport, merged statistics,
 * the live line and the table of epochs. */
#include "base/door.h"
#include "base/thread.h"
#include "nets/layers.h"
#include "tests/tests.h"
#include "trainer/buckets.h"
#include "trainer/epoch_table.h"
#include "trainer/evaluation.h"
#include "trainer/link.h"
#include "trainer/message.h"
#include "trainer/progress.h"
#include "trainer/tally.h"
#include "trainer/transport.h"

#include <math.h>
#include <string.h>

/* ---- buckets ---- */

/* fc1: 10 x 30 and 10 biases, fc2: 4 x 10 and 4: 354 floats, of which [300, 310) and [350, 354) are not decayed. */
static void two_layers(struct graph *graph)
{
    struct error error = { 0 };
    graph_init(graph, "two", &(struct input_args){ .c = 1, .h = 5, .w = 6 });
    loss(graph, linear(graph, relu(graph, linear(graph, 0, "fc1", 10)), "fc2", 4), 0);
    assert_int_equal(graph_finish(graph, &error), 0);
    assert_int_equal(graph->params.total, 354);
}

static bool decayed(size_t i) { return i < 300 || (i >= 310 && i < 350); }

static void assert_buckets(size_t bytes, bool decay_all, int n, size_t size)
{
    struct graph graph;
    struct buckets buckets;
    struct error error = { 0 };
    two_layers(&graph);
    assert_int_equal(buckets_init(&buckets, &graph.params, bytes, decay_all, &error), 0);
    assert_int_equal(buckets.n, n);
    size_t end = graph.params.total;
    for (int b = 0; b < n; b++) {
        const struct bucket *row = &buckets.rows[b];
        assert_int_equal(row->end, end);
        assert_int_equal(row->begin % 64, 0);
        if (b > 0)
            assert_int_equal(row->end - row->begin, size);
        size_t at = row->begin;
        for (int i = 0; i < row->n_stretches; i++) {
            const struct stretch *stretch = &buckets.stretches[row->first_stretch + i];
            assert_int_equal(stretch->begin, at);
            for (; at < stretch->end; at++) {
                assert_int_equal(stretch->decay, decay_all || decayed(at));
                assert_int_equal(bucket_of(&buckets, at), b);
            }
        }
        assert_int_equal(at, row->end);
        end = row->begin;
    }
    assert_int_equal(end, 0);
    buckets_release(&buckets);
    graph_release(&graph);
}

static void buckets_cover_the_vector_from_its_end(void **state)
{
    (void)state;
    assert_buckets(1, false, 6, 64);
    assert_buckets(4 * 64, true, 6, 64);
    assert_buckets(4 * 127, false, 6, 64);
    assert_buckets(4 * 128, false, 3, 128);
    assert_buckets(4 * 320, false, 2, 320);
    assert_buckets(1 << 20, false, 1, 0);
    assert_buckets(1 << 20, true, 1, 0);
}

/* ---- the emulated link ---- */

static struct link linked(double gbps, double us, int duplex)
{
    struct config config;
    struct link link;
    struct error error = { 0 };
    config_defaults(&config);
    config.link.bandwidth_gbps = gbps;
    config.link.latency_us = us;
    config.link.duplex = duplex;
    assert_int_equal(link_init(&link, &config, 8, &error), 0);
    return link;
}

static void enter(struct link *link, enum link_way way, uint64_t bytes, int64_t at)
{
    link_enter(link, way, &(struct message){ .kind = MESSAGE_PUSH, .bytes = bytes, .sent_ns = at, .value = at });
}

static void assert_leaves(struct link *link, enum link_way way, int64_t at, int64_t value)
{
    struct crossing crossing;
    assert_int_equal(link_held(link, way, 0)->transfer.due_ns, at);
    assert_false(link_leave(link, way, at - 1, &crossing));
    assert_true(link_leave(link, way, at, &crossing));
    assert_int_equal(crossing.message.value, value);
}

/* 8 Gbit/s: a nanosecond a byte. */
static void transfers_cross_one_after_another(void **state)
{
    (void)state;
    struct link link = linked(8, 0.5, DUPLEX_FULL);
    enter(&link, LINK_IN, 1000, 10);   /* 10..1010 */
    enter(&link, LINK_IN, 100, 20);    /* ..1110 */
    enter(&link, LINK_OUT, 2000, 30);  /* 30..2030: the other way is free */
    enter(&link, LINK_IN, 100, 5000);  /* 5000..5100: it was idle before */
    assert_int_equal(link_pending(&link, LINK_IN), 3);
    assert_leaves(&link, LINK_IN, 1510, 10);
    assert_leaves(&link, LINK_IN, 1610, 20);
    assert_leaves(&link, LINK_OUT, 2530, 30);
    enter(&link, LINK_IN, 7, 5050);    /* ..5107 */
    assert_leaves(&link, LINK_IN, 5600, 5000);
    assert_leaves(&link, LINK_IN, 5607, 5050);
    assert_int_equal(link_pending(&link, LINK_IN), 0);
    assert_int_equal(link_occupied_ns(&link), 2000);
    link_release(&link);
}

/* 8 Gbit/s again. Worker 0 sends four at 0, worker 1 three at 120: the second of worker 0 crosses by then, and they
 * alternate from there. In a queue for both ways all keep their places. */
static void workers_take_turns(void **state)
{
    (void)state;
    const int64_t turns[] = { 0, 1, 10, 2, 11, 3, 12 }, sent[] = { 0, 1, 2, 3, 10, 11, 12 };
    for (int duplex = DUPLEX_FULL; duplex <= DUPLEX_HALF; duplex++) {
        struct link link = linked(8, 0, duplex);
        for (int i = 0; i < 7; i++)
            link_enter(&link, LINK_IN, &(struct message){
                .kind = MESSAGE_PUSH, .bytes = i == 2 ? 50 : 100, .worker = i >= 4,
                .sent_ns = i < 4 ? 0 : 120, .value = sent[i] });
        for (int64_t i = 0, at = 0; i < 7; i++) {
            const int64_t value = duplex == DUPLEX_FULL ? turns[i] : sent[i];
            at += value == 2 ? 50 : 100;
            assert_leaves(&link, LINK_IN, at, value);
        }
        assert_int_equal(link_occupied_ns(&link), 650);
        enter(&link, LINK_IN, 10, 700); /* it is idle again */
        assert_leaves(&link, LINK_IN, 710, 700);
        link_release(&link);
    }
}

static void half_duplex_is_one_queue(void **state)
{
    (void)state;
    struct link link = linked(8, 0, DUPLEX_HALF);
    enter(&link, LINK_IN, 1000, 10);
    enter(&link, LINK_OUT, 500, 20);
    enter(&link, LINK_IN, 1, 30);
    assert_leaves(&link, LINK_IN, 1010, 10);
    assert_leaves(&link, LINK_OUT, 1510, 20);
    assert_leaves(&link, LINK_IN, 1511, 30);
    assert_int_equal(link_occupied_ns(&link), 1501);
    link_release(&link);
}

/* ---- the tally ---- */

static void add_step(struct tally *tally, int worker, int64_t t, double value, bool completes)
{
    const struct message step = { .kind = MESSAGE_STEP, .worker = (uint16_t)worker, .iteration = t, .value = double_bits(value), .spare = worker + 1, .version = 10 };
    assert_int_equal(tally_add(tally, &step), completes);
}

/* 1e16 swallows a 1 that comes before it is taken away again: sums are in worker order, whoever came first. */
static void sums_do_not_depend_on_arrival(void **state)
{
    (void)state;
    static const int orders[][3] = { { 0, 1, 2 }, { 2, 1, 0 }, { 1, 2, 0 } };
    const double losses[] = { 1e16, -1e16, 1 };
    for (int i = 0; i < 3; i++) {
        struct tally tally;
        struct error error = { 0 };
        assert_int_equal(tally_init(&tally, 3, true, &error), 0);
        for (int j = 0; j < 3; j++)
            add_step(&tally, orders[i][j], 0, losses[orders[i][j]], j == 2);
        assert_true(tally.last.loss == 1);
        assert_int_equal(tally.last.correct, 6);
        assert_int_equal(tally.last.samples, 30);
        tally_release(&tally);
    }
}

static void two_iterations_can_be_under_way(void **state)
{
    (void)state;
    struct tally tally;
    struct error error = { 0 };
    assert_int_equal(tally_init(&tally, 2, true, &error), 0);
    add_step(&tally, 0, 0, 1, false);
    add_step(&tally, 0, 1, 10, false);
    add_step(&tally, 1, 0, 2, true);
    assert_true(tally.last.loss == 3);
    add_step(&tally, 1, 1, 20, true);
    assert_true(tally.last.loss == 30);
    assert_int_equal(tally.iterations, 2);
    struct sums epoch = tally_take_epoch(&tally);
    assert_true(epoch.loss == 33);
    assert_int_equal(epoch.samples, 40);
    assert_int_equal(tally_take_epoch(&tally).samples, 0);
    assert_true(tally_take_recent(&tally).loss == 33);
    tally_release(&tally);
}

static void asynchronous_steps_count_by_k(void **state)
{
    (void)state;
    struct tally tally;
    struct error error = { 0 };
    assert_int_equal(tally_init(&tally, 2, false, &error), 0);
    add_step(&tally, 1, 0, 1, false);
    add_step(&tally, 1, 1, 2, true);
    add_step(&tally, 1, 2, 4, false);
    add_step(&tally, 0, 0, 8, true);
    assert_true(tally.last.loss == 12);
    assert_int_equal(tally.iterations, 2);
    tally_release(&tally);
}

/* ---- the transport ---- */

enum { SENDERS = 3, MESSAGES = 20000 };

struct sender { struct transport *transport; int number; };

static void *send_all(void *context)
{
    struct sender *sender = context;
    for (int64_t i = 0; i < MESSAGES; i++) {
        const struct message message = { .kind = MESSAGE_STEP, .worker = (uint16_t)sender->number, .iteration = i };
        while (!sender->transport->calls->send(sender->transport, sender->number, SENDERS, &message))
            door_sleep_until_ns(door_now_ns() + 10000);
    }
    return NULL;
}

/* From several threads to one: all come, each sender's in order; a full ring says so; nobody else's arrive here. */
static void messages_come_in_order(void **state)
{
    (void)state;
    struct transport transport;
    struct error error = { 0 };
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];
    int64_t next[SENDERS] = { 0 };
    assert_int_equal(transport_open_local(&transport, SENDERS + 1, &error), 0);
    for (int i = 0; i < SENDERS; i++)
        assert_int_equal(transport_connect_local(&transport, i, SENDERS, 50, &error), 0);
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){ &transport, i };
        assert_int_equal(thread_start(&threads[i], "sender", send_all, &senders[i], &error), 0);
    }
    for (int n = 0; n < SENDERS * MESSAGES;) {
        struct message message;
        if (!transport.calls->receive(&transport, SENDERS, &message)) {
            int64_t deadline = door_now_ns() + 20000000000;
            transport.calls->wait(&transport, SENDERS, deadline);
            assert_true(door_now_ns() < deadline); /* a lost wake */
            continue;
        }
        assert_int_equal(message.iteration, next[message.worker]++);
        n++;
    }
    for (int i = 0; i < SENDERS; i++)
        thread_join(threads[i]);
    transport_close(&transport);
}

/* What is posted lies in the ring: in its order among what is sent, and found by whoever looks before sleeping. */
static void posts_come_in_order(void **state)
{
    (void)state;
    struct transport transport;
    struct message message;
    struct error error = { 0 };
    int64_t n = 0;
    assert_int_equal(transport_open_local(&transport, 2, &error), 0);
    assert_int_equal(transport_connect_local(&transport, 0, 1, 1, &error), 0);
    for (bool room = true; room; n += room) {
        message = (struct message){ .kind = MESSAGE_PUSH, .iteration = n };
        room = (n % 3 == 2 ? transport.calls->send : transport.calls->post)(&transport, 0, 1, &message);
    }
    assert_in_range(n, 1, 64);
    assert_false(transport.calls->post(&transport, 0, 1, &message));
    transport.calls->wait(&transport, 1, INT64_MAX);
    for (int64_t i = 0; i < n; i++) {
        assert_true(transport.calls->receive(&transport, 1, &message));
        assert_int_equal(message.iteration, i);
    }
    assert_false(transport.calls->receive(&transport, 1, &message));
    transport_close(&transport);
}

static void waiting_ends(void **state)
{
    (void)state;
    struct transport transport;
    struct message message = { .kind = MESSAGE_STEP };
    struct error error = { 0 };
    assert_int_equal(transport_open_local(&transport, 2, &error), 0);
    assert_int_equal(transport_connect_local(&transport, 0, 1, 1, &error), 0);
    int64_t begin = door_now_ns(), until = begin + 20000000;
    while (door_now_ns() < until)
        transport.calls->wait(&transport, 1, until);
    assert_false(transport.calls->receive(&transport, 1, &message));
    int sent = 0;
    while (transport.calls->send(&transport, 0, 1, &message))
        sent++;
    assert_in_range(sent, 1, 64);
    transport.calls->wait(&transport, 1, INT64_MAX); /* returns: there is something */
    assert_true(transport.calls->receive(&transport, 1, &message));
    assert_true(transport.calls->send(&transport, 0, 1, &message));
    transport_close(&transport);
}

/* ---- running statistics ---- */

/* Two workers that saw halves of one population: the merge is the whole's mean and variance. */
static void statistics_merge(void **state)
{
    (void)state;
    struct graph graph;
    struct error error = { 0 };
    graph_init(&graph, "normalized", &(struct input_args){ .c = 2, .h = 1, .w = 1 });
    loss(&graph, linear(&graph, batchnorm(&graph, 0, "bn"), "fc", 3), 0);
    assert_int_equal(graph_finish(&graph, &error), 0);
    assert_int_equal(graph.stats.total, 4);
    const float first[] = { 1, 10, 4, 0 }, second[] = { 3, 20, 2, 0 }; /* means, then variances */
    const float *const rows[] = { first, second };
    float merged[4];
    merge_stats(&graph, rows, 2, false, merged);
    const float expected[] = { 2, 15, 3 + 1, 25 };
    for (int i = 0; i < 4; i++)
        assert_true(fabsf(merged[i] - expected[i]) < 1e-6f);
    merge_stats(&graph, rows, 2, true, merged);
    assert_memory_equal(merged, first, sizeof first);
    merge_stats(&graph, rows + 1, 1, false, merged);
    assert_memory_equal(merged, second, sizeof second);
    graph_release(&graph);
}

/* ---- what a person sees ---- */

static void the_live_line_keeps_the_time_left(void **state)
{
    (void)state;
    const struct live live = { .epoch = 123.4, .epochs = 200, .rate = 123456, .loss = 0.12345, .accuracy = 0.98765,
        .seconds_left = 7140, .scale = "scale 2^16, 3 skipped" };
    static const struct { int columns; const char *line; } cases[] = {
        { 200, "[=========>      ] epoch 123.4 of 200, 123,456 images/s, loss 0.1235, accuracy 98.77 %, scale 2^16, 3 skipped, 119 min 00 s left" },
        { 119, "epoch 123.4 of 200, 123,456 images/s, loss 0.1235, accuracy 98.77 %, scale 2^16, 3 skipped, 119 min 00 s left" },
        { 86, "epoch 123.4 of 200, 123,456 images/s, loss 0.1235, accuracy 98.77 %, 119 min 00 s left" },
        { 79, "epoch 123.4 of 200, 123,456 images/s, loss 0.1235, 119 min 00 s left" },
        { 59, "epoch 123.4 of 200, loss 0.1235, 119 min 00 s left" },
        { 40, "epoch 123.4 of 200, 119 min 00 s left" },
        { 20, "119 min 00 s left" },
        { 9, "119 min 0" },
        { 0, "" },
    };
    char line[PROGRESS_LINE];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        progress_write(line, cases[i].columns, &live);
        assert_string_equal(line, cases[i].line);
    }
    const struct live longest = { .epoch = 999999.9, .epochs = 1e6, .rate = 1e9, .loss = 1e30, .accuracy = 1,
        .seconds_left = 3.6e9 };
    for (int columns = 0; columns < 200; columns++) {
        progress_write(line, columns, &longest);
        assert_true((int)strlen(line) <= columns);
        assert_true(columns < 24 || strstr(line, "1000000 h 00 min left"));
    }
}

static void the_table_of_epochs_fits(void **state)
{
    (void)state;
    struct epoch epochs[] = {
        { .iteration = 390, .samples = 39000, .train_loss = 1.70341, .train_accuracy = 0.36184, .trained = true,
            .evaluated = true, .test_loss = 2.01727, .test_accuracy = 0.35504, .seconds = 39 },
        { .iteration = 585, .evaluated = true, .test_loss = 1.5, .test_accuracy = 1, .seconds = 60 },
    };
    const struct schedule schedule = { NULL, 780, 390 };
    const struct metrics metrics = { .schedule = &schedule, .epochs = epochs, .n = 2 };
    static const struct { int columns; const char *header, *first, *second; } cases[] = {
        { 80, "  epoch  iteration train loss  accuracy test loss  accuracy  images/s   seconds",
            "      1        390     1.7034   36.18 %    2.0173   35.50 %     1,000     39.00",
          "    1.5        585                         1.5000  100.00 %               60.00" },
        { 60, "  epoch train loss  accuracy test loss  accuracy  images/s",
            "      1     1.7034   36.18 %    2.0173   35.50 %     1,000",
            "    1.5                         1.5000  100.00 %          " },
        { 20, "  epoch  accuracy", "      1   35.50 %", "    1.5  100.00 %" },
    };
    char line[EPOCH_ROW];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        epoch_table_header(line, cases[i].columns);
        assert_string_equal(line, cases[i].header);
        epoch_table_row(line, cases[i].columns, &metrics, 0);
        assert_string_equal(line, cases[i].first);
        epoch_table_row(line, cases[i].columns, &metrics, 1);
        assert_string_equal(line, cases[i].second);
    }
}

int test_trainer_parts(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_cover_the_vector_from_its_end), cmocka_unit_test(transfers_cross_one_after_another),
        cmocka_unit_test(workers_take_turns), cmocka_unit_test(half_duplex_is_one_queue),
        cmocka_unit_test(sums_do_not_depend_on_arrival), cmocka_unit_test(two_iterations_can_be_under_way), cmocka_unit_test(asynchronous_steps_count_by_k),
        cmocka_unit_test(messages_come_in_order),
        cmocka_unit_test(posts_come_in_order), cmocka_unit_test(waiting_ends), cmocka_unit_test(statistics_merge),
        cmocka_unit_test(the_live_line_keeps_the_time_left),
        cmocka_unit_test(the_table_of_epochs_fits),
    };
    return cmocka_run_group_tests_name("trainer_parts", tests, NULL, NULL);
}
