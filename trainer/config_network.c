/* See config_network.h. */
#include "trainer/config_network.h"

#include "nets/network.h"

static int channel_values(float to[4], const struct real_list *list, int channels, const char *key, const char *place, struct error *error)
{
    if (list->n != 1 && list->n != channels)
        return fail(error, EXIT_USAGE, "%s: [data] %s: want one number, or one for each of %d channels, got %d", place, key, channels, list->n);
    for (int c = 0; c < channels; c++)
        to[c] = (float)list->values[list->n == 1 ? 0 : c];
    return 0;
}

int config_network(struct graph *graph, const struct config *config, const char *place, struct shape input, int classes, struct error *error)
{
    struct network_request request = {
        .input = { .c = input.c, .h = input.h, .w = input.w }, .classes = classes,
        .dropout = (float)config->net.dropout, .label_smoothing = (float)config->net.label_smoothing,
        .shortcut = (enum shortcut_choice)config->net.shortcut, .stem = (enum stem_choice)config->net.stem, .zero_init = config->net.zero_init,
    };
    if (channel_values(request.input.mean, &config->data.mean, input.c, "mean", place, error) || channel_values(request.input.std, &config->data.std, input.c, "std", place, error))
        return -1;
    if (network_build(graph, config->net.name, &request, error) == 0)
        return 0;
    char key[400];
    snprintf(key, sizeof key, "%.300s: [net] name", place);
    return error->code == EXIT_USAGE ? error_place(error, key) : -1;
}
