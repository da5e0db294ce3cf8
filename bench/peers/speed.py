"""How fast PyTorch trains a network, and what memory that takes; lenet.py, cifar.py and imagenet.py say which network, on what data.

One line is printed: images/s over S seconds after a warm-up; the peak resident size in MiB of the process (both processes, for ddp), or with --device cuda
of its memory on the GPU; microseconds of CPU time a step. The loop is the usual one, but kinder to PyTorch than most: normalized float images lie in memory,
the GPU's if it computes, so that a batch costs one gather; the optimizer is the fused one; every thread and process has a processor of its own; cuDNN
measures its algorithms; nothing is logged or evaluated.
"""
import argparse
import contextlib
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
    "compile-reduce-overhead": (1, True, "reduce-overhead"),  # CUDA graphs
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
        order = torch.randperm(len(images), device=images.device)[rank::processes]
        for part in order.split(size):
            if len(part) == size:
                yield images[part], labels[part]


def stepper(subject, options, rank):
    """A function that makes one step and returns its loss."""
    processes, channels_last, compiling = MODES[options.mode]
    images, labels = subject.images(options.data) if options.data else (torch.randn(subject.shape), torch.randint(10, subject.shape[:1]))
    model = subject.network()
    assert sum(p.numel() for p in model.parameters()) == subject.parameters
    layout = channels_last_or_not(channels_last)
    model, images, labels = model.to(options.device, memory_format=layout), images.to(options.device).contiguous(memory_format=layout), labels.to(options.device)
    optimizer = subject.optimizer(model)
    precision = torch.autocast(options.device, torch.bfloat16) if options.autocast else contextlib.nullcontext()
    run = torch.nn.parallel.DistributedDataParallel(model) if processes > 1 else model
    if compiling:
        run = torch.compile(run, mode=compiling)
    source = batches(images, labels, options.batch // processes, rank, processes)

    def step():
        x, y = next(source)
        with precision:
            loss = functional.cross_entropy(run(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


def timed(step, steps, device):
    """Seconds, those of CPU time before the wait for a GPU, and the last loss."""
    begin, processor = time.monotonic(), time.process_time()
    for _ in range(steps):
        loss = step()
    processor = time.process_time() - processor
    if device == "cuda":
        torch.cuda.synchronize()
    return time.monotonic() - begin, processor, loss


def measure(subject, options, rank=0):
    """images/s of all processes together, and CPU microseconds a step."""
    torch.manual_seed(1)
    torch.backends.cudnn.benchmark = True
    step = stepper(subject, options, rank)
    timed(step, subject.warm_up, options.device)
    sample = max(1, subject.warm_up // 3)
    steps = torch.tensor(max(1, int(sample * options.seconds / timed(step, sample, options.device)[0])))
    # the same number of steps in every process, because each waits for the others
    if MODES[options.mode][0] > 1:
        torch.distributed.broadcast(steps, 0)
    elapsed, processor, loss = timed(step, int(steps), options.device)
    if not torch.isfinite(loss) or (options.data is not None and loss.item() > subject.loss):
        raise SystemExit(f"{options.mode}: it does not learn: the loss is {loss.item()}")
    return int(steps) * options.batch / elapsed, processor / int(steps) * 1e6


def peak_mib(device="cpu"):
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def work(rank, subject, options, rendezvous, results):
    """One process of several."""
    processors = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {processors[rank % len(processors)]})
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method="file://" + rendezvous, rank=rank, world_size=MODES[options.mode][0])
    results.put((*measure(subject, options, rank), peak_mib()))
    torch.distributed.destroy_process_group()


def arguments(*more_modes):
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=[*MODES, *more_modes])
    parser.add_argument("--data", metavar="FOLDER")
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--autocast", action="store_true", help="bfloat16")
    parser.add_argument("--batch", type=int, default=BATCH)
    return parser


def report(subject, options):
    processes = MODES[options.mode][0]
    if options.data is None:
        print("no data: random images", file=sys.stderr)
    if processes == 1:
        torch.set_num_threads(2)
        rate, processor = measure(subject, options)
        peak = peak_mib(options.device)
    else:
        results = torch.multiprocessing.get_context("spawn").SimpleQueue()
        with tempfile.TemporaryDirectory() as folder:
            torch.multiprocessing.spawn(work, (subject, options, os.path.join(folder, "rendezvous"), results), nprocs=processes)
        rows = [results.get() for _ in range(processes)]
        rate, processor, peak = min(row[0] for row in rows), sum(row[1] for row in rows), sum(row[2] for row in rows)
    print(f"{rate:.0f} {peak:.0f} {processor:.0f}")
