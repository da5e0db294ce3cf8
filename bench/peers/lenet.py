"""LeNet trained by PyTorch, to be compared with onestep's: the net of nets/lenet.c, the hyperparameters of configs/mnist-lenet.ini, 128 images a step.

    lenet.py MODE [--data FOLDER] [--seconds S]

Prints one line: images/s over S seconds after a warm-up, and the peak resident size in MiB of the process (both processes, for ddp).
The loop is the usual one, but kinder to PyTorch than most: normalized float images lie in memory, so that a batch costs one gather; the
optimizer is the fused one; every thread and process has a processor of its own; nothing is logged or evaluated.
"""
import argparse
import gzip
import os
import resource
import sys
import tempfile
import time

import numpy
import torch
import torch.nn.functional as functional

BATCH = 128
PARAMETERS = 431080
WARM_UP_STEPS = 60

# processes, channels_last, torch.compile's mode
MODES = {
    "eager": (1, False, None),
    "channels_last": (1, True, None),
    "compile": (1, False, "default"),
    "compile-channels_last": (1, True, "default"),
    "compile-max-autotune": (1, False, "max-autotune"),
    "ddp": (2, False, None),
    "ddp-channels_last": (2, True, None),
}


class LeNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(1, 20, 5)
        self.conv2 = torch.nn.Conv2d(20, 50, 5)
        self.fc1 = torch.nn.Linear(800, 500)
        self.fc2 = torch.nn.Linear(500, 10)

    def forward(self, x):
        x = functional.max_pool2d(self.conv1(x), 2)
        x = functional.max_pool2d(self.conv2(x), 2)
        return self.fc2(functional.relu(self.fc1(x.flatten(1))))


def read_idx(folder, name, header):
    path = os.path.join(folder, name)
    opened = open(path, "rb") if os.path.exists(path) else gzip.open(path + ".gz")
    with opened as file:
        return numpy.frombuffer(file.read(), numpy.uint8, offset=header)


def training_set(folder):
    if folder is None:
        print("no data: random images", file=sys.stderr)
        return torch.randn(60000, 1, 28, 28), torch.randint(10, (60000,))
    pixels = read_idx(folder, "train-images-idx3-ubyte", 16).reshape(-1, 1, 28, 28)
    labels = read_idx(folder, "train-labels-idx1-ubyte", 8)
    return (torch.from_numpy(pixels.copy()).float() / 255 - 0.1307) / 0.3081, torch.from_numpy(labels.astype(numpy.int64))


def batches(images, labels, size, rank, processes):
    while True:
        order = torch.randperm(len(images))[rank::processes]
        for part in order.split(size):
            if len(part) == size:
                yield images[part], labels[part]


def measure(mode, folder, seconds, rank=0):
    """images/s of this process."""
    processes, channels_last, compiling = MODES[mode]
    torch.manual_seed(1)
    images, labels = training_set(folder)
    model = LeNet()
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=0.0005, fused=True)
    run = torch.nn.parallel.DistributedDataParallel(model) if processes > 1 else model
    if compiling:
        run = torch.compile(run, mode=compiling)
    source = batches(images, labels, BATCH // processes, rank, processes)

    def step():
        x, y = next(source)
        loss = functional.cross_entropy(run(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(WARM_UP_STEPS):
        loss = step()
    # the same number of steps in every process, because each waits for the others
    begin = time.monotonic()
    for _ in range(20):
        step()
    steps = torch.tensor(max(1, int(20 * seconds / (time.monotonic() - begin))))
    if processes > 1:
        torch.distributed.broadcast(steps, 0)
    begin = time.monotonic()
    for _ in range(int(steps)):
        loss = step()
    elapsed = time.monotonic() - begin
    if not torch.isfinite(loss) or (folder is not None and loss.item() > 1):
        raise SystemExit(f"{mode}: it does not learn: the loss is {loss.item()}")
    return int(steps) * BATCH / elapsed


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def work(rank, mode, folder, seconds, rendezvous, results):
    """One process of several."""
    processors = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {processors[rank % len(processors)]})
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method="file://" + rendezvous, rank=rank, world_size=MODES[mode][0])
    results.put((measure(mode, folder, seconds, rank), peak_mib()))
    torch.distributed.destroy_process_group()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("--data")
    parser.add_argument("--seconds", type=float, default=4)
    options = parser.parse_args()
    processes = MODES[options.mode][0]
    if processes == 1:
        torch.set_num_threads(2)
        rate, peak = measure(options.mode, options.data, options.seconds), peak_mib()
    else:
        results = torch.multiprocessing.get_context("spawn").SimpleQueue()
        with tempfile.TemporaryDirectory() as folder:
            arguments = (options.mode, options.data, options.seconds, os.path.join(folder, "rendezvous"), results)
            torch.multiprocessing.spawn(work, arguments, nprocs=processes)
        rows = [results.get() for _ in range(processes)]
        rate, peak = min(row[0] for row in rows), sum(row[1] for row in rows)
    print(f"{rate:.0f} {peak:.0f}")


if __name__ == "__main__":
    main()
