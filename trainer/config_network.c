/* See config_network.h. */
#include "trainer/config_network.h"

#include "data/augment.h"
#include "nets/network.h"

static int channel_values(float to[4], const struct real_list *list, int channels, const char *key, const char *place, struct error *error)
{
    if (list->n != 1 && list->n != channels)
        return fail(error, EXIT_USAGE, "%s: [data] %s: want one number, or one for each of %d channels, got %d", place, key, channels, list->n);
    for (int c = 0; c < channels; c++)
        to[c] = (float)list->values[list->n == 1 ? 0 : c];
    return 0;
}

static void augment(struct input_args *input, const struct config *config)
{
    const struct real_list *mean = &config->data.mean;
    input->augment = (struct input_augment){ .crop_pad = (int)config->data.crop_pad, .cutout = (int)config->data.cutout, .flip = config->data.flip };
    for (int c = 0; c < input->c && c < AUGMENT_CHANNELS; c++)
        input->augment.fill[c] = augment_fill(mean->values[mean->n == 1 ? 0 : c]);
}

int config_network(struct graph *graph, const struct config *config, const char *place, const struct config_input *input, struct error *error)
{
    struct network_request request = {
        .input = { .c = input->shape.c, .h = input->shape.h, .w = input->shape.w }, .classes = input->classes,
        .dropout = (float)config->net.dropout, .label_smoothing = (float)config->net.label_smoothing,
        .shortcut = (enum shortcut_choice)config->net.shortcut, .stem = (enum stem_choice)config->net.stem, .zero_init = config->net.zero_init,
    };
    if (channel_values(request.input.mean, &config->data.mean, input->shape.c, "mean", place, error) || channel_values(request.input.std, &config->data.std, input->shape.c, "std", place, error))
        return -1;
    if (input->augments)
        augment(&request.input, config);
    if (network_build(graph, config->net.name, &request, error) == 0)
        return 0;
    char key[400];
    snprintf(key, sizeof key, "%.300s: [net] name", place);
    return error->code == EXIT_USAGE ? error_place(error, key) : -1;
}
