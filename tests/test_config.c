/* trainer/config*: what is accepted, what every refusal says, and that a config written is the config read. */
#include "base/philox.h"
#include "data/dataset.h"
#include "nets/network.h"
#include "tests/tests.h"
#include "trainer/choose.h"
#include "trainer/config_table.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_ROOM = 16384 };

/* Random words of one test, from a counter. */
struct draw { uint64_t key, counter; };

static uint32_t draw_word(struct draw *draw) { return philox(draw->key, 0, draw->counter++).word[0]; }
static int draw_below(struct draw *draw, int n) { return (int)(draw_word(draw) % (uint32_t)n); }

static int parse(struct config *config, const char *text, struct error *error)
{
    config_defaults(config);
    *error = (struct error){ 0 };
    return config_parse(config, "x.ini", text, strlen(text), error);
}

static void expect_refused(const char *text, const char *want)
{
    struct config config;
    struct error error;
    assert_int_equal(parse(&config, text, &error), -1);
    assert_string_equal(error.text, want);
    assert_int_equal(error.code, EXIT_USAGE);
}

static void every_row_is_described(void **state)
{
    (void)state;
    for (int i = 0; i < n_config_rows; i++) {
        const struct config_row *row = &config_rows[i];
        char rule[256];
        config_value_rule(row, rule, sizeof rule);
        if (row->type == TYPE_TEXT && (!row->words || strpbrk(row->words, "|\n") || strlen(row->words) + 1 > 200))
            fail_msg("[%s] %s: a text that does not say what it may be", row->section, row->key);
        if (!*row->help || !*rule || strpbrk(row->help, "|\n") || strlen(row->key) > 16 || strlen(rule) + 1 == sizeof rule)
            fail_msg("[%s] %s: help \"%s\", rule \"%s\"", row->section, row->key, row->help, rule);
        for (int j = 0; j < i; j++)
            if (strcmp(row->section, config_rows[j].section) == 0 && (strcmp(row->key, config_rows[j].key) == 0 || strcmp(row->section, config_rows[i - 1].section) != 0))
                fail_msg("[%s] %s: twice, or its section is in two pieces", row->section, row->key);
    }
}

/* The rule of a row, and what it says of a default, are the row's own. */
static void every_default_parses(void **state)
{
    (void)state;
    struct config config, again;
    config_defaults(&config);
    for (int i = 0; i < n_config_rows; i++) {
        const struct config_row *row = &config_rows[i];
        char text[CONFIG_VALUE];
        if (!row->fallback)
            continue;
        config_defaults(&again);
        if (!config_value_parse(row, &again, row->fallback) || memcmp(&config, &again, sizeof config) != 0)
            fail_msg("[%s] %s: the default \"%s\" does not parse", row->section, row->key, row->fallback);
        config_value_write(row, &config, text, sizeof text);
        assert_string_equal(text, row->fallback);
    }
}

static void random_real(const struct config_row *row, struct draw *draw, char *text, size_t bytes)
{
    static const char *const formats[] = { "%.1g", "%.3g", "%.6f", "%.17g" };
    double part = uniform_double(draw_word(draw), draw_word(draw)), value = row->low + part * part * part * (row->high - row->low);
    if (draw_below(draw, 8) == 0)
        value = draw_below(draw, 2) ? row->low : row->high;
    snprintf(text, bytes, formats[draw_below(draw, 4)], value);
    double rounded = strtod(text, NULL);
    if (rounded < row->low || rounded > row->high)
        snprintf(text, bytes, "%.17g", value);
}

static void random_text(const struct config_row *row, struct draw *draw, char *text)
{
    static const char letters[] = "abcXYZ019._-/=:[]#%\"'\\ \xc3\xa9";
    int length = draw_below(draw, 4) == 0 ? CONFIG_TEXT - 1 : draw_below(draw, 40) + !row->fallback;
    for (int i = 0; i < length; i++)
        text[i] = letters[draw_below(draw, sizeof letters - 1)];
    text[length] = 0;
    for (int end = 0; end < length; end += length > 1 ? length - 1 : 1)
        if (text[end] == ' ')
            text[end] = 'e';
}

/* Some text that the row accepts. */
static void text_of(const struct config_row *row, struct draw *draw, char *text, size_t bytes)
{
    size_t used = 0;
    int n_words = 1;
    switch (row->type) {
    case TYPE_BOOL: snprintf(text, bytes, "%s", draw_below(draw, 2) ? "true" : "false"); break;
    case TYPE_INTEGER: snprintf(text, bytes, "%.0f", row->low + uniform_double(draw_word(draw), draw_word(draw)) * (row->high - row->low)); break;
    case TYPE_REAL:
        if (row->words && draw_below(draw, 3) == 0)
            snprintf(text, bytes, "%s", row->words);
        else
            random_real(row, draw, text, bytes);
        break;
    case TYPE_CHOICE:
        for (const char *bar = row->words; (bar = strchr(bar, '|')); bar++)
            n_words++;
        config_word_write(row, row->first + draw_below(draw, n_words), text, bytes);
        break;
    case TYPE_TEXT: random_text(row, draw, text); break;
    case TYPE_REALS:
        for (int i = 0, n = 1 + draw_below(draw, 5); i < n; i++) {
            random_real(row, draw, text + used, bytes - used);
            used += strlen(text + used);
            used += (size_t)snprintf(text + used, bytes - used, "%s", i + 1 == n ? "" : draw_below(draw, 2) ? "," : " , ");
        }
        break;
    }
}

static void what_is_written_reads_back(void **state)
{
    (void)state;
    struct draw draw = { .key = 7 };
    char value[1024], text[TEXT_ROOM], again[TEXT_ROOM];
    for (int round = 0; round < 500; round++) {
        struct config config, read;
        struct error error = { 0 };
        config_defaults(&config);
        for (int i = 0; i < n_config_rows; i++) {
            text_of(&config_rows[i], &draw, value, sizeof value);
            if (config_set_key(&config, "here", config_rows[i].section, config_rows[i].key, value, &error))
                fail_msg("%s", error.text);
        }
        size_t n = config_write(&config, text, sizeof text);
        assert_true(n < sizeof text && n == strlen(text));
        if (parse(&read, text, &error))
            fail_msg("%s", error.text);
        assert_memory_equal(&config, &read, sizeof config);
        config_write(&read, again, sizeof again);
        assert_string_equal(text, again);
    }
}

static void writing_stays_in_its_room(void **state)
{
    (void)state;
    struct config config;
    char whole[TEXT_ROOM], text[TEXT_ROOM];
    config_defaults(&config);
    size_t n = config_write(&config, whole, sizeof whole);
    for (size_t room = 0; room <= n + 1; room++) {
        memset(text, '!', sizeof text);
        assert_int_equal(config_write(&config, text, room), n);
        assert_true(text[room] == '!');
        if (room)
            assert_true(strlen(text) == (room <= n ? room - 1 : n) && memcmp(text, whole, strlen(text)) == 0);
    }
}

/* A config of every key with a value that its default is not, where there is one. */
static size_t sample_config(char *text)
{
    struct draw draw = { .key = 3 };
    struct config config;
    struct error error = { 0 };
    char value[1024];
    config_defaults(&config);
    for (int i = 0; i < n_config_rows; i++) {
        text_of(&config_rows[i], &draw, value, sizeof value);
        assert_int_equal(config_set_key(&config, "here", config_rows[i].section, config_rows[i].key, value, &error), 0);
    }
    return config_write(&config, text, TEXT_ROOM);
}

static void expect_read_or_refused(const char *text, size_t n)
{
    struct config config;
    struct error error = { 0 };
    config_defaults(&config);
    int result = config_parse(&config, "x.ini", text, n, &error);
    assert_true(result == 0 ? error.code == 0 : error.code == EXIT_USAGE && strncmp(error.text, "x.ini:", 6) == 0 && error.text[6] >= '1' && error.text[6] <= '9');
}

static void cut_anywhere_it_is_read_or_refused(void **state)
{
    (void)state;
    char text[TEXT_ROOM];
    size_t n = sample_config(text);
    for (size_t end = 0; end <= n; end++) {
        char *exact = malloc(end ? end : 1); /* the address sanitizer sees one byte too many */
        memcpy(exact, text, end);
        expect_read_or_refused(exact, end);
        free(exact);
    }
}

static void changed_anywhere_it_is_read_or_refused(void **state)
{
    (void)state;
    static const char changes[] = { 0, '\n', '\r', ' ', '[', ']', '=', ';', '#', ':', '9', '\xff' };
    char text[TEXT_ROOM];
    size_t n = sample_config(text);
    for (size_t at = 0; at < n; at++)
        for (size_t i = 0; i < sizeof changes; i += 1 + at % 3) {
            char kept = text[at];
            text[at] = changes[i];
            expect_read_or_refused(text, n);
            text[at] = kept;
        }
}

static void what_may_stand_in_a_file(void **state)
{
    (void)state;
    struct config config;
    struct error error;
    char blanks[401], text[2048];
    memset(blanks, ' ', 400);
    blanks[400] = 0;
    snprintf(text, sizeof text, "\xef\xbb\xbf[data]\r\n%s\n#%s\n;%s x = y\n\nbatch=7 ; a comment = x\neval_batch   =\t8\t\npath = a=b#c;d [e]\n[optimizer]   ; and here\nlr = +.5e-1", blanks, blanks, blanks);
    if (parse(&config, text, &error))
        fail_msg("%s", error.text);
    assert_int_equal(config.data.batch, 7);
    assert_int_equal(config.data.eval_batch, 8);
    assert_string_equal(config.data.path, "a=b#c;d [e]");
    assert_true(config.optimizer.lr == 0.05);
    assert_int_equal(parse(&config, "", &error), 0);
    assert_int_equal(parse(&config, "[schedule]\nsteps = 1 , 2.5,3\n[odsgd]\nlr_local = lr\n[train]\nseed = 9000000000000000\n", &error), 0);
    assert_true(config.schedule.steps.n == 3 && config.schedule.steps.values[1] == 2.5 && config.odsgd.lr_local == -1 && config.train.seed == 9000000000000000);
}

static void what_is_wrong_is_told(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "[data]\nbacth = 1\n", "x.ini:2: [data] has no key \"bacth\", the nearest is batch" },
        { "[Data]\n\nbatch = 1\n", "x.ini:3: unknown section [Data], the nearest is [data]" },
        { "[ data ]\nbatch = 1\n", "x.ini:2: unknown section [ data ], the nearest is [data]" },
        { "batch = 1\n", "x.ini:1: batch: want a [section] line before the first key" },
        { "[data]\nbatch = 12o\n", "x.ini:2: [data] batch: want 1..65536, got \"12o\"" },
        { "[data]\nbatch = 12.0\n", "x.ini:2: [data] batch: want 1..65536, got \"12.0\"" },
        { "[data]\nbatch = 0x10\n", "x.ini:2: [data] batch: want 1..65536, got \"0x10\"" },
        { "[data]\nbatch = 99999999999999999999\n", "x.ini:2: [data] batch: want 1..65536, got \"99999999999999999999\"" },
        { "[data]\nbatch = -1\n", "x.ini:2: [data] batch: want 1..65536, got \"-1\"" },
        { "[data]\nbatch = 12 13\n", "x.ini:2: [data] batch: want 1..65536, got \"12 13\"" },
        { "[data]\nbatch =\n", "x.ini:2: [data] batch: want 1..65536, got \"\"" },
        { "[data]\nshuffle = TRUE\n", "x.ini:2: [data] shuffle: want true or false, got \"TRUE\"" },
        { "[data]\ndataset =\n", "x.ini:2: [data] dataset: want 1 to 159 characters, no blanks at its ends, no \" ;\", got \"\"" },
        { "[optimizer]\nlr = 1e999\n", "x.ini:2: [optimizer] lr: want 0..1e+06, got \"1e999\"" },
        { "[optimizer]\nlr = nan\n", "x.ini:2: [optimizer] lr: want 0..1e+06, got \"nan\"" },
        { "[optimizer]\nlr = 0x1p3\n", "x.ini:2: [optimizer] lr: want 0..1e+06, got \"0x1p3\"" },
        { "[optimizer]\nmomentum = 1\n", "x.ini:2: [optimizer] momentum: want 0..0.9999, got \"1\"" },
        { "[odsgd]\nlr_local = -1\n", "x.ini:2: [odsgd] lr_local: want 0..1e+06 or lr, got \"-1\"" },
        { "[train]\nalgorithm = sgd\n", "x.ini:2: [train] algorithm: want ssgd, asgd, dcasgd or odsgd, got \"sgd\"" },
        { "[train]\nalgorithm = ssgd|asgd\n", "x.ini:2: [train] algorithm: want ssgd, asgd, dcasgd or odsgd, got \"ssgd|asgd\"" },
        { "[schedule]\nkind =\n", "x.ini:2: [schedule] kind: want constant, step, cosine or one-cycle, got \"\"" },
        { "[data]\nmean = 1,\n", "x.ini:2: [data] mean: want numbers in -1e+06..1e+06, with commas between them, got \"1,\"" },
        { "[data]\nmean = ,\n", "x.ini:2: [data] mean: want numbers in -1e+06..1e+06, with commas between them, got \",\"" },
        { "[data]\nmean =\n", "x.ini:2: [data] mean: want numbers in -1e+06..1e+06, with commas between them, got \"\"" },
        { "[data]\nmean = 1 2\n", "x.ini:2: [data] mean: want numbers in -1e+06..1e+06, with commas between them, got \"1 2\"" },
        { "[data]\nstd = 1,0\n", "x.ini:2: [data] std: want numbers in 1e-06..1e+06, with commas between them, got \"1,0\"" },
        { "[data]\nbatch = 1\nbatch = 1\n", "x.ini:3: [data] batch: set twice, first at line 2" },
        { "[data]\nbatch = 1\n[net]\n[data]\nbatch = 2\n", "x.ini:5: [data] batch: set twice, first at line 2" },
        { "[data]\nbatch\n", "x.ini:2: want [section], key = value, or a comment, got \"batch\"" },
        { "[data]\nbatch: 12\n", "x.ini:2: want [section], key = value, or a comment, got \"batch: 12\"" },
        { "[data]\n= 12\n", "x.ini:2: want [section], key = value, or a comment, got \"= 12\"" },
        { "[data]\nbatch ; = 12\n", "x.ini:2: want [section], key = value, or a comment, got \"batch ; = 12\"" },
        { "[data\n", "x.ini:1: want [section], key = value, or a comment, got \"[data\"" },
        { "[data] x\n", "x.ini:1: want [section], key = value, or a comment, got \"[data] x\"" },
        { "[data]\nshuffle = true\n batch = 12\n", "x.ini:3: want no blanks before a key or a section, got \" batch = 12\"" },
        { "\t[data]\n", "x.ini:1: want no blanks before a key or a section, got \" [data]\"" },
        { "[data]\nan unknown line that is long enough to be cut before its end\n", "x.ini:2: want [section], key = value, or a comment, got \"an unknown line that is long enough to b...\"" },
        { "[data]\nbatch = 0\nbacth = 1\nx\n", "x.ini:2: [data] batch: want 1..65536, got \"0\"" }, /* the first one is told */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refused(cases[i][0], cases[i][1]);
}

static void lines_have_a_length(void **state)
{
    (void)state;
    struct config config;
    struct error error;
    char text[512];
    /* "path = " and 182 characters are 189, but a text has at most 159 */
    snprintf(text, sizeof text, "[data]\npath = %0159d%*s\n", 0, 23, "");
    assert_int_equal(parse(&config, text, &error), 0);
    assert_int_equal(strlen(config.data.path), 159);
    snprintf(text, sizeof text, "[data]\npath = %0159d%*s\n", 0, 24, "");
    expect_refused(text, "x.ini:2: want a line of at most 189 characters, got 190");
    struct error zero = { 0 };
    assert_int_equal(config_parse(&config, "x.ini", "[data]\nbat\0ch = 1\n", 18, &zero), -1);
    assert_string_equal(zero.text, "x.ini:2: want text without a zero byte, got \"bat\"");
}

/* 38 numbers in short, which are longer when they are written. */
static void a_list_that_could_not_be_written_is_refused(void **state)
{
    (void)state;
    static const char want[] = "[schedule] steps: want a list that fits a line of 189 characters, got \"1e5,1e5,1e5,1e5,1e5,1e5,1e5,1e5,1e5,1e5,...\"";
    char list[256] = "1e5", text[512], message[512];
    struct config config;
    struct error error = { 0 };
    for (int i = 0; i < 37; i++)
        strcat(list, ",1e5");
    snprintf(text, sizeof text, "[schedule]\nsteps = %s", list);
    snprintf(message, sizeof message, "x.ini:2: %s", want);
    expect_refused(text, message);
    config_defaults(&config);
    snprintf(text, sizeof text, "schedule.steps=%s", list);
    snprintf(message, sizeof message, "--set: %s", want);
    assert_int_equal(config_set(&config, text, &error), -1);
    assert_string_equal(error.text, message);
    assert_int_equal(config.schedule.steps.n, 0); /* refused, and not set */
}

static void one_value_is_set(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        { "", "--set: want section.key=value, got \"\"" },
        { "train.epochs", "--set: want section.key=value, got \"train.epochs\"" },
        { "epochs=1.5", "--set: want section.key=value, got \"epochs=1.5\"" },
        { "train.epoch=1", "--set: [train] has no key \"epoch\", the nearest is epochs" },
        { "train.epochs =1", "--set: [train] has no key \"epochs \", the nearest is epochs" },
        { "trian.epochs=1", "--set: unknown section [trian], the nearest is [train]" },
        { "train.epochs=", "--set: [train] epochs: want 0..1000000, got \"\"" },
        { "train.epochs= 1", "--set: [train] epochs: want 0..1000000, got \" 1\"" },
        { "data.path=a\nb", "--set: [data] path: want 0 to 159 characters, no blanks at its ends, no \" ;\", got \"a b\"" },
        { "data.path= a", "--set: [data] path: want 0 to 159 characters, no blanks at its ends, no \" ;\", got \" a\"" },
        { "data.path=;a", "--set: [data] path: want 0 to 159 characters, no blanks at its ends, no \" ;\", got \";a\"" },
    };
    struct config config;
    config_defaults(&config);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct error error = { 0 };
        struct config before = config;
        assert_int_equal(config_set(&config, wrong[i][0], &error), -1);
        assert_memory_equal(&config, &before, sizeof config);
        assert_string_equal(error.text, wrong[i][1]);
        assert_int_equal(error.code, EXIT_USAGE);
    }
    struct error error = { 0 };
    assert_int_equal(config_set(&config, "train.epochs=3", &error), 0);
    assert_int_equal(config_set(&config, "train.epochs=4", &error), 0);
    assert_int_equal(config_set(&config, "data.path=/a.b=c", &error), 0);
    assert_int_equal(config.train.epochs, 4);
    assert_string_equal(config.data.path, "/a.b=c");
}

static void keys_are_checked_together(void **state)
{
    (void)state;
    static const struct { const char *set[3], *want; } cases[] = {
        { { "train.epochs=0" }, "x: [train] epochs: want epochs or iterations above 0, got 0 for both" },
        { { "async.order=replay" }, "x: [async] replay: order = replay wants the file to follow, got none" },
        { { "train.algorithm=asgd", "async.replay=f" }, "x: [async] replay: want order = replay beside it, got \"f\" alone" },
        { { "async.record=f" }, "x: [async] record: want algorithm asgd or dcasgd: a synchronous run has no order to record" },
        { { "train.algorithm=dcasgd", "train.deterministic=true" }, "x: [train] deterministic: true wants [async] order round-robin or replay, got free" },
        { { "workers.count=3", "workers.slowdown=1,2" }, "x: [workers] slowdown: want one number, or one for each of 3 workers, got 2" },
        { { "schedule.kind=step" }, "x: [schedule] steps: kind = step wants at least one epoch, got none" },
        { { "schedule.kind=one-cycle", "schedule.warmup_epochs=1" }, "x: [schedule] warmup_epochs: kind = one-cycle has a rise of its own (pct_start) and wants 0, got 1" },
        { { "schedule.steps=1,3,3" }, "x: [schedule] steps: want rising epochs, got 3 after 3" },
        { { "workers.reduce=nccl", "train.algorithm=ssgd", "train.deterministic=true" }, "x: [workers] reduce: NCCL adds in an order of its own: want server with [train] deterministic = true, got nccl" },
        { { "workers.reduce=nccl" }, "x: [workers] reduce: nccl sums for [train] algorithm = ssgd alone" },
        { { "link.latency_us=1" }, "x: [link] latency_us: want bandwidth_gbps above 0 beside it, got 0" },
    };
    static const char base[] = "[data]\ndataset = synthetic\n[net]\nname = mlp\n[train]\nepochs = 1\n";
    struct config config;
    struct error error;
    assert_int_equal(parse(&config, base, &error), 0);
    assert_int_equal(config_check(&config, "x", &error), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(parse(&config, base, &error), 0);
        for (int set = 0; set < 3 && cases[i].set[set]; set++)
            assert_int_equal(config_set(&config, cases[i].set[set], &error), 0);
        assert_int_equal(config_check(&config, "x", &error), -1);
        assert_string_equal(error.text, cases[i].want);
        assert_int_equal(error.code, EXIT_USAGE);
    }
    static const char both[] = "[data]\ndataset = synthetic\n[net]\nname = mlp\n[train]\nepochs = 1\niterations = 5\n";
    assert_int_equal(parse(&config, both, &error), 0);
    assert_int_equal(config_check(&config, "x", &error), -1);
    assert_string_equal(error.text, "x: [train] iterations: want epochs or iterations, got both (1 and 5)");
    config_defaults(&config);
    error = (struct error){ 0 };
    assert_int_equal(config_check(&config, "x", &error), -1);
    assert_string_equal(error.text, "x: [data] dataset: not set, and it has no default");
}

/* What a config says against what the command line says is taken back. */
static void the_last_word_counts(void **state)
{
    (void)state;
    static const struct { const char *file, *set[2], *want; } cases[] = {
        { "[train]\nepochs = 3\n", { "train.iterations=5" }, "epochs = 0\niterations = 5\n" },
        { "[train]\niterations = 5\n", { "train.epochs=3" }, "epochs = 3\niterations = 0\n" },
        { "[train]\nepochs = 3\n", { "train.iterations=5", "train.epochs=4" }, "epochs = 4\niterations = 0\n" },
        { "[train]\nepochs = 3\n", { "train.iterations=0" }, "epochs = 3\niterations = 0\n" },
        { "[train]\nepochs = 3\n", { "train.epochs=0", "train.iterations=5" }, "epochs = 0\niterations = 5\n" },
        { "[schedule]\nwarmup_epochs = 2\n", { "schedule.kind=one-cycle" }, "kind = one-cycle\nwarmup_epochs = 0\n" },
        { "[schedule]\nwarmup_epochs = 2\n", { "schedule.kind=cosine" }, "kind = cosine\nwarmup_epochs = 2\n" },
        { "[async]\norder = replay\nreplay = order\n", { "async.order=free" }, "order = free\nrecord = \nreplay = \n" },
        { "[async]\norder = free\nreplay = order\n", { "async.order=replay" },
            "order = replay\nrecord = \nreplay = order\n" },
        { "[workers]\ndevices = cuda:0\nserver = host\n", { "workers.devices=cpu" },
            "devices = cpu\ncount = 0\nserver = auto\n" },
        { "[workers]\ncount = 2\n", { "workers.devices=cuda:0,0,1" }, "devices = cuda:0,0,1\ncount = 0\n" },
        { "[workers]\ncount = 2\n", { "workers.devices=auto" }, "devices = auto\ncount = 2\n" },
        { "[workers]\ncount = 2\n", { "workers.devices=cuda:0", "workers.count=3" }, "devices = cuda:0\ncount = 3\n" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config config;
        struct error error;
        char text[TEXT_ROOM];
        assert_int_equal(parse(&config, cases[i].file, &error), 0);
        for (int set = 0; set < 2 && cases[i].set[set]; set++)
            assert_int_equal(config_set(&config, cases[i].set[set], &error), 0);
        config_write(&config, text, sizeof text);
        if (!strstr(text, cases[i].want))
            fail_msg("%s over %s", cases[i].set[0], cases[i].file);
    }
}

/* The words of a list, as the help tells them: "a, b or c". */
static bool lists(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at += n)
        if ((at == list || at[-1] == ' ') && (!at[n] || at[n] == ',' || at[n] == ' '))
            return true;
    return false;
}

static const char *values_of(const char *section, const char *key)
{
    for (int i = 0; i < n_config_rows; i++)
        if (strcmp(config_rows[i].section, section) == 0 && strcmp(config_rows[i].key, key) == 0)
            return config_rows[i].words;
    return "";
}

/* And as many as there are: a list names nothing else. */
static int words_in(const char *list)
{
    int n = 1;
    for (; *list; list++)
        n += *list == ',' || strncmp(list, " or ", 4) == 0;
    return n;
}

static void lists_of_names_are_whole(void **state)
{
    (void)state;
    const char *names = values_of("net", "name"), *sets = values_of("data", "dataset"),
        *computing = values_of("cpu", "backend");
    int n = 0;
    for (; networks[n]; n++)
        if (!lists(names, networks[n]->name))
            fail_msg("net.name: %s is not among %s", networks[n]->name, names);
    assert_int_equal(words_in(names), n);
    for (n = 0; dataset_formats[n]; n++)
        if (!lists(sets, dataset_formats[n]->name))
            fail_msg("data.dataset: %s is not among %s", dataset_formats[n]->name, sets);
    assert_int_equal(words_in(sets), n);
    for (n = 0; backends[n]; n++) /* a build without oneDNN has fewer */
        if (!lists(computing, backends[n]->name))
            fail_msg("cpu.backend: %s is not among %s", backends[n]->name, computing);
    assert_true(n <= words_in(computing) - 1 && lists(computing, "auto"));
}

static void choices_have_words(void **state)
{
    (void)state;
    char word[32];
    config_word("train", "algorithm", ALGORITHM_ODSGD, word, sizeof word);
    assert_string_equal(word, "odsgd");
    config_word("train", "deterministic", AUTOMATIC, word, sizeof word);
    assert_string_equal(word, "auto");
    config_word("odsgd", "local_update", LOCAL_PREDICT, word, sizeof word);
    assert_string_equal(word, "predict");
    config_word("train", "epochs", 1, word, sizeof word);
    assert_string_equal(word, "?");
}

int test_config(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_described),
        cmocka_unit_test(every_default_parses),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(writing_stays_in_its_room),
        cmocka_unit_test(cut_anywhere_it_is_read_or_refused),
        cmocka_unit_test(changed_anywhere_it_is_read_or_refused),
        cmocka_unit_test(what_may_stand_in_a_file),
        cmocka_unit_test(what_is_wrong_is_told),
        cmocka_unit_test(lines_have_a_length),
        cmocka_unit_test(a_list_that_could_not_be_written_is_refused),
        cmocka_unit_test(one_value_is_set),
        cmocka_unit_test(keys_are_checked_together),
        cmocka_unit_test(the_last_word_counts),
        cmocka_unit_test(lists_of_names_are_whole),
        cmocka_unit_test(choices_have_words),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
