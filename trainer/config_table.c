/* Every key of a config: where it lies, what it may be, what it is when it is not set, what it means. */
#include "trainer/config_table.h"

#define AT(field) offsetof(struct config, field)
#define BOOL(section, key, fallback, help) { #section, #key, TYPE_BOOL, AT(section.key), 0, 1, 0, NULL, fallback, help }
#define INTEGER(section, key, low, high, fallback, help) { #section, #key, TYPE_INTEGER, AT(section.key), low, high, 0, NULL, fallback, help }
#define REAL(section, key, low, high, fallback, help) { #section, #key, TYPE_REAL, AT(section.key), low, high, 0, NULL, fallback, help }
#define REAL_OR(section, key, low, high, word, fallback, help) { #section, #key, TYPE_REAL, AT(section.key), low, high, 0, word, fallback, help }
#define REALS(section, key, low, high, fallback, help) { #section, #key, TYPE_REALS, AT(section.key), low, high, 0, NULL, fallback, help }
#define CHOICE(section, key, first, words, fallback, help) { #section, #key, TYPE_CHOICE, AT(section.key), 0, 0, first, words, fallback, help }
#define TEXT(section, key, what, fallback, help) { #section, #key, TYPE_TEXT, AT(section.key), 0, 0, 0, what, fallback, help }

const struct config_row config_rows[] = {
    TEXT(data, dataset, "mnist, cifar10, synthetic, synthetic-cifar10 or synthetic-imagenet", NULL, "what is learned; the program draws the images of the synthetic ones itself"),
    TEXT(data, path, "a folder, or auto", "auto", "where the dataset is; auto looks in $ONESTEP_DATA, then in datasets/"),
    INTEGER(data, size, 0, 1024, "0", "synthetic-imagenet: pixels along each side of its images; 0 for 224"),
    INTEGER(data, batch, 1, 65536, "64", "B: samples per worker and iteration; the global batch is K times that"),
    INTEGER(data, eval_batch, 1, 65536, "128", "samples at a time in evaluation; changes no result"),
    INTEGER(data, limit, 0, 1e12, "0", "train on the first so many samples; 0 for all"),
    INTEGER(data, test_limit, 0, 1e12, "0", "evaluate on the first so many test samples; 0 for all"),
    REALS(data, mean, -1e6, 1e6, "0", "subtracted from pixels/255: one number, or one per channel (CIFAR-10: 0.4914,0.4822,0.4465)"),
    REALS(data, std, 1e-6, 1e6, "1", "and divided by (CIFAR-10: 0.2470,0.2435,0.2616); mean 0 and std 1 give pixels/255"),
    INTEGER(data, crop_pad, 0, 4095, "0", "training images get so many black pixels on each side, then are cropped to their size at a random place; 0: as they are"),
    BOOL(data, flip, "false", "half of the training images, drawn anew every epoch, have left and right swapped"),
    INTEGER(data, cutout, 0, 4096, "0", "a square of this side, centred anywhere in a training image, becomes the mean colour (arXiv 1708.04552); 0: none"),
    CHOICE(data, augment_on, AUGMENT_AUTO, "auto|loader|device", "auto", "who crops, flips and cuts: the loader's threads, or the GPU as it reads the batch; the same bytes; auto: the GPU where there is one"),
    BOOL(data, shuffle, "true", "a new permutation every epoch, from the seed and the epoch's number; false is the order of the files"),
    BOOL(data, same_for_all, "false", "for experiments: all workers get worker 0's samples"),
    INTEGER(data, loader_threads, 1, 256, "1", "threads that prepare batches; changes no result"),
    INTEGER(data, prefetch, 0, 4096, "0", "batches prepared ahead; 0 for four per worker"),

    TEXT(net, name, "mlp, lenet, lenet5, resnet20, resnet32, resnet44, resnet56, resnet110, resnet18, resnet34, resnet50, resnet101, resnet152 or vgg16-bn", NULL, "the network; onestep info describes them"),
    REAL(net, dropout, 0, 0.95, "0", "probability of zeroing an activation, in networks that have dropout"),
    CHOICE(net, shortcut, 0, "auto|A|B", "auto", "ResNets, where the shape changes: A, every other pixel and zeros for new channels; B, a 1x1 convolution; auto: A for resnet20 to resnet110, else B"),
    CHOICE(net, stem, 0, "auto|cifar|imagenet", "auto", "resnet18 to resnet152 begin with: cifar, 3x3; imagenet, 7x7 and a maximum, both of stride 2; auto: imagenet for images of 64x64 and more"),
    BOOL(net, zero_init, "false", "ResNets: the last normalization of each block starts at 0, so that the block starts as its shortcut (arXiv 1706.02677)"),
    REAL(net, label_smoothing, 0, 0.9, "0", "s: targets are (1-s) one-hot + s/classes (arXiv 1512.00567)"),

    CHOICE(train, algorithm, ALGORITHM_SSGD, "ssgd|asgd|dcasgd|odsgd", "odsgd", "who waits for whom; docs/algorithms.md"),
    INTEGER(train, epochs, 0, 1e6, "0", "length of the run in passes over the data; set this or iterations; on the command line one replaces the other"),
    INTEGER(train, iterations, 0, 1e12, "0", "length of the run in iterations (asynchronous: updates/K)"),
    INTEGER(train, seed, 0, 9e15, "1", "of initial weights, data order, augmentation, dropout and synthetic images"),
    CHOICE(train, deterministic, AUTOMATIC, "auto|false|true", "auto", "two runs give the same bytes; auto: whenever the algorithm can, true insists; false lets a GPU take kernels that do not repeat"),
    TEXT(train, init, "random, or a file", "random", "weights to start from: drawn at random, or those of a .safetensors file"),
    REAL(train, evaluate_every, 0, 1e6, "1", "epochs between evaluations on the test set (the end is always evaluated); 0 for the end alone"),
    INTEGER(train, log_every, 0, 1e9, "0", "a row of metrics.csv every so many iterations too; 0 for epochs alone"),
    INTEGER(train, bucket_kib, 0, 1 << 20, "0", "gradients and weights travel in buckets of about this size; changes no result of a synchronous run; 0: 256 on the CPU, 4096 on GPUs, which are given each with calls of its own"),
    CHOICE(train, bn_stats, BN_STATS_MEAN, "mean|worker0", "mean", "which running statistics evaluation uses: the workers' merge, or worker 0's"),
    REAL(train, ema_decay, 0, 0.999999, "0", "keep a moving average of the weights with this decay an iteration, and evaluate that; 0 for none. It changes no weight"),
    CHOICE(train, precision, AUTOMATIC, "auto|fp32|bf16|fp16", "fp32", "of activations and products; weights and updates are fp32 in any; auto measures fp32 and bf16, and remembers; fp16 scales its losses"),
    REAL(train, loss_scale, 1, 1 << 24, "65536", "fp16: by what the loss's gradient is multiplied at first, a power of two; an iteration whose gradient overflows is skipped, and the scale halved (arXiv 1710.03740)"),
    INTEGER(train, loss_scale_every, 0, 1e9, "2000", "fp16: the loss scale doubles after so many iterations without an overflow; 0: it stays as it is"),

    REAL(optimizer, lr, 0, 1e6, "0.1", "learning rate, before the schedule's factor"),
    REAL(optimizer, momentum, 0, 0.9999, "0.9", "as PyTorch defines it"),
    REAL(optimizer, weight_decay, 0, 1e3, "0", "added to the gradient as weight_decay * W"),
    BOOL(optimizer, nesterov, "false", "Nesterov's momentum, as PyTorch defines it"),
    BOOL(optimizer, decay_all, "false", "decay biases and normalization parameters too"),
    REAL(optimizer, clip_norm, 0, 1e9, "0", "gradients with a larger norm are scaled down to it (arXiv 1211.5063); 0 for no clipping. It waits for whole gradients: nothing travels per bucket"),

    CHOICE(schedule, kind, SCHEDULE_CONSTANT, "constant|step|cosine|one-cycle", "constant", "how the learning rate moves after the warm-up; one-cycle has its own (arXiv 1708.07120)"),
    REAL(schedule, warmup_epochs, 0, 1e6, "0", "linear warm-up from 0 over so many epochs"),
    REALS(schedule, steps, 0, 1e6, "", "step: the epochs at which the rate is multiplied by gamma"),
    REAL(schedule, gamma, 0, 1, "0.1", "step: the factor"),
    REAL(schedule, final, 0, 1, "0", "cosine: the fraction of the rate that is left at the end"),
    REAL(schedule, pct_start, 0, 1, "0.3", "one-cycle: the part of the run in which the rate rises to optimizer.lr, as in PyTorch's OneCycleLR"),
    REAL(schedule, div_factor, 1, 1e9, "25", "one-cycle: the run starts from optimizer.lr divided by this"),
    REAL(schedule, final_div_factor, 1, 1e12, "1e+04", "one-cycle: and ends on that divided by this"),

    INTEGER(odsgd, warmup, 0, 1e12, "200", "n: iterations of SSGD before the one-step delay begins"),
    CHOICE(odsgd, local_update, LOCAL_NONE, "none|sgd|dc|adc|predict", "predict", "how a worker gets from W_t and its own gradient to L_{t+1}"),
    REAL_OR(odsgd, lr_local, 0, 1e6, "lr", "lr", "sgd, dc, adc: the local learning rate; it follows the schedule's factor"),
    REAL(odsgd, momentum_local, 0, 0.9999, "0", "sgd, dc, adc: the local momentum"),
    REAL_OR(odsgd, lambda, 0, 1e6, "auto", "auto", "dc, adc: strength of the compensation; auto is 0.04 for dc and 2 for adc"),
    REAL(odsgd, ms_decay, 0, 0.9999, "0", "adc: m of the mean square"),
    CHOICE(odsgd, dc_backup, BACKUP_BASE, "base|local", "base", "dc, adc: compensate from W_{t-1} (the authors' code) or from L_t (DC-ASGD's definition)"),

    REAL_OR(async, scale, 0, 1e6, "1/K", "1/K", "asgd, dcasgd: every push is scaled by this, so that an epoch moves the weights as far as SSGD's"),
    REAL_OR(async, server_momentum, 0, 0.9999, "momentum", "momentum", "asgd, dcasgd: the server's momentum"),
    CHOICE(async, order, ORDER_FREE, "free|round-robin|replay", "free", "the order in which the server serves pushes"),
    TEXT(async, record, "a file, or empty", "", "write the order of service to this file"),
    TEXT(async, replay, "a file, or empty", "", "order = replay: the file to follow"),
    REAL_OR(async, lambda, 0, 1e6, "auto", "auto", "dcasgd: strength of the compensation; auto is 0.04, adaptive 2"),
    BOOL(async, adaptive, "false", "dcasgd: divide lambda by the root of the gradients' mean square"),
    REAL(async, ms_decay, 0, 0.9999, "0.95", "dcasgd, adaptive: m of the mean square"),

    TEXT(workers, devices, "auto, cpu, or a list of GPUs", "auto", "cpu, or the workers' GPUs in order, each as often as it has workers: cuda:0,1 or cuda:0,0,0,0; auto: one worker on each GPU, without GPUs cpu"),
    INTEGER(workers, count, 0, 64, "0", "K: workers; 0 for one per core, or as devices says; with devices = auto they are dealt out to the GPUs in turn"),
    TEXT(workers, server, "auto, sharded, host or cuda:N", "auto", "where the global weights lie: sharded (over the workers' GPUs, bucket by bucket), cuda:N, or host; auto: sharded, with clip_norm or fp16 the first worker's GPU; changes no result of a synchronous run"),
    CHOICE(workers, reduce, REDUCE_SERVER, "server|nccl", "server", "who sums ssgd's gradients: the server in worker order, or NCCL's all-reduce, which wants a GPU for each worker and adds in an order of its own"),
    REALS(workers, slowdown, 1, 1000, "1", "emulation: worker k computes this many times slower: one number, or one per worker"),
    REAL(workers, jitter, 0, 100, "0", "emulation: every iteration's computing is stretched by 1 + jitter*x, x exponential with mean 1"),
    BOOL(workers, pin, "true", "pin each worker on the CPU to a core of its own"),
    INTEGER(workers, stuck_after_s, 1, 1e6, "120", "give up when nothing moves for so long, or for 50 iterations' time if that is longer"),

    BOOL(cuda, graphs, "true", "launch each step as CUDA graphs; changes no result"),
    BOOL(cuda, tf32, "false", "fp32: round the operands of convolutions and products to TF32, which tensor cores take"),
    INTEGER(cuda, workspace_mib, 0, 65536, "512", "the most memory that cuDNN and cuBLASLt may take for one operation, in MiB"),

    TEXT(cpu, backend, "auto, lanes, onednn, onednn-nhwc or reference", "auto", "what computes on the CPU; auto measures which is fastest, and remembers it per processor, program, net and batch; a resumed run keeps its own"),
    CHOICE(cpu, isa, AUTOMATIC, "auto|base|v3|v4", "auto",
           "instruction set of our own kernels: v4 is AVX-512, v3 AVX2, base SSE2 or on ARM NEON; auto takes the best "
           "that the processor runs; checkpoints do not keep it: a resumed run, eval and predict choose anew"),

    REAL(link, bandwidth_gbps, 0, 1e6, "0", "emulation: the server's link in gigabits per second; 0 for no emulation"),
    REAL(link, latency_us, 0, 1e9, "0", "emulation: and its latency"),
    CHOICE(link, duplex, DUPLEX_FULL, "full|half", "full", "emulation: a queue each way, or one for both"),

    TEXT(checkpoint, every, "N epochs, N iterations, N minutes, or off", "1 epochs", "how long between checkpoints, the whole state of the run to resume from; one more at the end, also of a stop; off: none at all"),
    INTEGER(checkpoint, keep, 1, 1e6, "2", "checkpoints kept; an older one goes when the new one is safely on disk"),

    TEXT(output, dir, "a folder, or empty", "", "where the run writes; empty: runs/NAME-NNN, the first that is free"),
    BOOL(output, overwrite, "false", "write into a folder that exists"),
    INTEGER(output, trace, 0, 1e8, "0", "write trace.json with each thread's last so many records (chrome://tracing, Perfetto); 0 for none"),
};

const int n_config_rows = sizeof config_rows / sizeof *config_rows;
