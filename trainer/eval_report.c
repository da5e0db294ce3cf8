/* See eval_report.h. */
#include "trainer/eval_report.h"

#include "base/text.h"
#include "trainer/progress.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

enum { TOP5_CLASSES = 6 }; /* with five everything is among the best five */

static double part(int64_t n, int64_t of) { return of ? (double)n / (double)of : 0; }

static void print_padded(const char *text, int width)
{
    printf("%s%*s", text, width - text_columns(text), "");
}

static void print_classes(const struct confusion *confusion)
{
    int width = text_columns("class");
    for (int c = 0; c < confusion->classes; c++)
        width = text_columns(confusion->names[c]) > width ? text_columns(confusion->names[c]) : width;
    print_padded("class", width);
    printf("  %8s %8s %9s  %s\n", "images", "correct", "accuracy", "most confused with");
    for (int c = 0; c < confusion->classes; c++) {
        const int64_t *row = confusion_row(confusion, c), sum = confusion_row_sum(confusion, c);
        int rival = confusion_rival(confusion, c);
        char images[32], correct[32], accuracy[32] = "";
        if (sum)
            snprintf(accuracy, sizeof accuracy, "%.2f %%", 100 * part(row[c], sum));
        print_padded(confusion->names[c], width);
        printf("  %8s %8s %9s", grouped(sum, images), grouped(row[c], correct), accuracy);
        if (rival >= 0)
            printf("  %s (%s)", confusion->names[rival], grouped(row[rival], images));
        printf("\n");
    }
}

void eval_report_print(const struct eval_report *report)
{
    const struct model *model = report->model;
    const struct evaluation_total *total = &report->total;
    char about[128], computed[64], images[32], correct[32], rate[32];
    model_describe(model, about, sizeof about);
    model_describe_computing(model, computed, sizeof computed);
    text_print(stdout, 9, "weights", "%s: %s", model->path, about);
    text_print(stdout, 9, "net", "%s in %s, %d thread%s", model->graph.name, computed, report->threads,
               report->threads == 1 ? "" : "s");
    text_print(stdout, 9, "data", "%s%s%s, %s test images, %s a second", model->about.config.data.dataset,
               *model->about.config.data.path ? " in " : "", model->about.config.data.path,
           grouped(total->samples, images), grouped((int64_t)((double)total->samples / report->seconds), rate));
    putchar('\n');
    print_classes(report->confusion);
    printf("\ntop-1    %.2f %% (%s of %s)\n", 100 * part(total->correct, total->samples), grouped(total->correct, correct), grouped(total->samples, images));
    if (model->about.classes >= TOP5_CLASSES)
        printf("top-5    %.2f %% (%s)\n", 100 * part(total->correct5, total->samples), grouped(total->correct5, correct));
    printf("loss     %.4f\n\nwritten: %s\n", total->loss, report->picture);
}

static bool add_class(cJSON *classes, const struct confusion *confusion, int c)
{
    const int64_t *row = confusion_row(confusion, c), sum = confusion_row_sum(confusion, c);
    int rival = confusion_rival(confusion, c);
    cJSON *item = cJSON_CreateObject(), *taken = cJSON_CreateArray();
    bool whole = item && taken && cJSON_AddItemToArray(classes, item) && cJSON_AddStringToObject(item, "name", confusion->names[c]) &&
                 cJSON_AddNumberToObject(item, "images", (double)sum) && cJSON_AddNumberToObject(item, "correct", (double)row[c]) &&
                 (sum ? cJSON_AddNumberToObject(item, "accuracy", part(row[c], sum)) : cJSON_AddNullToObject(item, "accuracy")) &&
                 (rival >= 0 ? cJSON_AddStringToObject(item, "most_confused_with", confusion->names[rival]) : cJSON_AddNullToObject(item, "most_confused_with")) &&
                 cJSON_AddItemToObject(item, "taken_for", taken);
    for (int i = 0; i < confusion->classes && whole; i++)
        whole = cJSON_AddItemToArray(taken, cJSON_CreateNumber((double)row[i]));
    return whole;
}

int eval_report_json(const struct eval_report *report, struct error *error)
{
    const struct model *model = report->model;
    const struct evaluation_total *total = &report->total;
    cJSON *root = cJSON_CreateObject(), *classes = NULL;
    bool whole = root && cJSON_AddStringToObject(root, "checkpoint", model->path) && cJSON_AddNumberToObject(root, "iteration", (double)model->about.iteration) &&
                 cJSON_AddStringToObject(root, "weights", model->average ? "average" : "raw") && cJSON_AddStringToObject(root, "net", model->graph.name) &&
                 cJSON_AddStringToObject(root, "dataset", model->about.config.data.dataset) && cJSON_AddNumberToObject(root, "images", (double)total->samples) &&
                 cJSON_AddNumberToObject(root, "correct", (double)total->correct) && cJSON_AddNumberToObject(root, "top1", part(total->correct, total->samples)) &&
                 (model->about.classes < TOP5_CLASSES || cJSON_AddNumberToObject(root, "top5", part(total->correct5, total->samples))) &&
                 cJSON_AddNumberToObject(root, "loss", total->loss) && cJSON_AddStringToObject(root, "picture", report->picture) && (classes = cJSON_AddArrayToObject(root, "classes"));
    for (int c = 0; c < report->confusion->classes && whole; c++)
        whole = add_class(classes, report->confusion, c);
    char *text = whole ? cJSON_Print(root) : NULL;
    cJSON_Delete(root);
    if (!text)
        return fail(error, EXIT_MEMORY, "out of memory for the JSON text");
    puts(text);
    cJSON_free(text);
    return 0;
}
