/* The list of algorithms. */
#include "trainer/algorithm.h"

const char *const worker_state_names[WORKER_STATES] = { "local_momentum", "local_mean_square" };
const char *const server_state_names[SERVER_STATES] = { "momentum", "mean_square", "ema" };

const struct algorithm *algorithm_of(int choice)
{
    static const struct algorithm *const algorithms[] = {
        [ALGORITHM_SSGD] = &algorithm_ssgd, [ALGORITHM_ASGD] = &algorithm_asgd, [ALGORITHM_DCASGD] = &algorithm_dcasgd, [ALGORITHM_ODSGD] = &algorithm_odsgd,
    };
    return algorithms[choice];
}

int64_t algorithm_requires_newest(const struct config *config, int64_t t)
{
    (void)config;
    return t;
}

struct declaration algorithm_declare(const struct config *config)
{
    struct declaration declared = algorithm_of(config->train.algorithm)->declare(config);
    if (config->train.ema_decay > 0)
        declared.server_states |= 1u << SERVER_AVERAGE;
    return declared;
}
