"""How fast PyTorch trains a network, and what memory that takes; lenet.py and cifar.py say which network, on what data.

One line is printed: images/s over S seconds after a warm-up, and the peak resident size in MiB of the process (both processes, for ddp).
The loop is the usual one, but kinder to PyTorch than most: normalized float images lie in memory, so that a batch costs one gather; the
optimizer is the fused one; every thread and process has a processor of its own; nothing is logged or evaluated.
"""
import argparse
import os
import resource
import sys
import tempfile
import time
import typing

import torch
import torch.nn.functional as functional

BATCH = 128

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


class Subject(typing.NamedTuple):
    network: typing.Callable[[], torch.nn.Module]
    parameters: int
    optimizer: typing.Callable[[torch.nn.Module], torch.optim.Optimizer]
    images: typing.Callable  # folder -> normalized images and labels
    shape: tuple  # of random images, where there is no folder
    warm_up: int  # steps
    loss: float  # less than this after the warm-up, or it does not learn


def channels_last_or_not(wanted):
    return torch.channels_last if wanted else torch.contiguous_format


def batches(images, labels, size, rank, processes):
    while True:
        order = torch.randperm(len(images))[rank::processes]
        for part in order.split(size):
            if len(part) == size:
                yield images[part], labels[part]


def stepper(subject, mode, folder, rank):
    """A function that makes one step and returns its loss."""
    processes, channels_last, compiling = MODES[mode]
    images, labels = subject.images(folder) if folder else (torch.randn(subject.shape), torch.randint(10, subject.shape[:1]))
    model = subject.network()
    assert sum(p.numel() for p in model.parameters()) == subject.parameters
    layout = channels_last_or_not(channels_last)
    model, images = model.to(memory_format=layout), images.contiguous(memory_format=layout)
    optimizer = subject.optimizer(model)
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

    return step


def timed(step, steps):
    begin = time.monotonic()
    for _ in range(steps):
        loss = step()
    return time.monotonic() - begin, loss


def measure(subject, mode, folder, seconds, rank=0):
    """images/s of all processes together."""
    torch.manual_seed(1)
    step = stepper(subject, mode, folder, rank)
    timed(step, subject.warm_up)
    sample = max(1, subject.warm_up // 3)
    steps = torch.tensor(max(1, int(sample * seconds / timed(step, sample)[0])))
    # the same number of steps in every process, because each waits for the others
    if MODES[mode][0] > 1:
        torch.distributed.broadcast(steps, 0)
    elapsed, loss = timed(step, int(steps))
    if not torch.isfinite(loss) or (folder is not None and loss.item() > subject.loss):
        raise SystemExit(f"{mode}: it does not learn: the loss is {loss.item()}")
    return int(steps) * BATCH / elapsed


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def work(rank, subject, mode, folder, seconds, rendezvous, results):
    """One process of several."""
    processors = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {processors[rank % len(processors)]})
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method="file://" + rendezvous, rank=rank, world_size=MODES[mode][0])
    results.put((measure(subject, mode, folder, seconds, rank), peak_mib()))
    torch.distributed.destroy_process_group()


def arguments(*more_modes):
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=[*MODES, *more_modes])
    parser.add_argument("--data", metavar="FOLDER")
    parser.add_argument("--seconds", type=float, default=4)
    return parser


def report(subject, options):
    processes = MODES[options.mode][0]
    if options.data is None:
        print("no data: random images", file=sys.stderr)
    if processes == 1:
        torch.set_num_threads(2)
        rate, peak = measure(subject, options.mode, options.data, options.seconds), peak_mib()
    else:
        results = torch.multiprocessing.get_context("spawn").SimpleQueue()
        with tempfile.TemporaryDirectory() as folder:
            each = (subject, options.mode, options.data, options.seconds, os.path.join(folder, "rendezvous"), results)
            torch.multiprocessing.spawn(work, each, nprocs=processes)
        rows = [results.get() for _ in range(processes)]
        rate, peak = min(row[0] for row in rows), sum(row[1] for row in rows)
    print(f"{rate:.0f} {peak:.0f}")
