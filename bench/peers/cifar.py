"""ResNet-20 on CIFAR-10 by PyTorch, to be compared with onestep's: the network of He et al.'s CIFAR section, the recipe of configs/cifar10-resnet20.ini.

    cifar.py MODE [--data FOLDER] [--seconds S]                                             images/s and peak MiB
    cifar.py accuracy --data FOLDER [--seed N] [--epochs N] [--ghost N] [--channels-last]   final test accuracy; epochs on standard error

FOLDER holds the binary format: data_batch_1.bin to data_batch_5.bin and test_batch.bin. Where speed is measured, the images have been augmented and
normalized before the clock starts, 10,000 of them, so that PyTorch pays nothing for that and little memory.
"""
import os
import sys
import time

import numpy
import speed
import torch
import torch.nn.functional as functional

MEAN = torch.tensor([0.4914, 0.4822, 0.4465])
STD = torch.tensor([0.2470, 0.2435, 0.2616])
PADDING = 4
TRAINING_FILES = [f"data_batch_{n}.bin" for n in range(1, 6)]


class Block(torch.nn.Module):
    def __init__(self, inputs, filters, stride):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(inputs, filters, 3, stride, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(filters)
        self.conv2 = torch.nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = torch.nn.BatchNorm2d(filters)
        self.stride, self.missing = stride, filters - inputs

    def shortcut(self, x):
        """Option A: every other pixel, and channels of zeros, half of them on either side."""
        if self.stride == 1 and not self.missing:
            return x
        side = self.missing // 2
        return functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, side, self.missing - side))

    def forward(self, x):
        y = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet20(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(16)
        self.layer1 = torch.nn.Sequential(*[Block(16, 16, 1) for _ in range(3)])
        self.layer2 = torch.nn.Sequential(Block(16, 32, 2), Block(32, 32, 1), Block(32, 32, 1))
        self.layer3 = torch.nn.Sequential(Block(32, 64, 2), Block(64, 64, 1), Block(64, 64, 1))
        self.linear = torch.nn.Linear(64, 10)
        for module in self.modules():
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")

    def forward(self, x):
        x = functional.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


def read(folder, names):
    """Pixels as N × 32 × 32 × 3 bytes, and labels."""
    records = numpy.concatenate([numpy.fromfile(os.path.join(folder, name), numpy.uint8).reshape(-1, 3073) for name in names])
    pixels = torch.from_numpy(records[:, 1:]).reshape(-1, 3, 32, 32).permute(0, 2, 3, 1).contiguous()
    return pixels, torch.from_numpy(records[:, 0].astype(numpy.int64))


def normalized(pixels):
    """N × 3 × H × W, channels last in memory."""
    return pixels.float().div_(255).sub_(MEAN).div_(STD).permute(0, 3, 1, 2)


def padded(pixels):
    """Black all around, which normalization then takes for black."""
    return functional.pad(pixels, (0, 0, PADDING, PADDING, PADDING, PADDING))


def augmented(frames, chosen):
    """A random crop of each chosen padded image, every other one mirrored."""
    line = torch.arange(32)
    rows = torch.randint(2 * PADDING + 1, (len(chosen), 1)) + line
    columns = torch.randint(2 * PADDING + 1, (len(chosen), 1)) + torch.where(torch.rand(len(chosen), 1) < 0.5, line, line.flip(0))
    return frames[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]


def some_augmented(folder):
    pixels, labels = read(folder, TRAINING_FILES[:1])
    return normalized(augmented(padded(pixels), torch.arange(len(pixels)))), labels


def sgd(model, rate=0.05):
    """Weight decay for matrices and filters, not for normalization nor biases."""
    groups = [
        {"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": 5e-4},
        {"params": [p for p in model.parameters() if p.dim() == 1], "weight_decay": 0},
    ]
    return torch.optim.SGD(groups, lr=rate, momentum=0.9, nesterov=True, fused=True)


@torch.no_grad()
def evaluate(model, images, labels):
    model.eval()
    right = sum((model(x).argmax(1) == y).sum().item() for x, y in zip(images.split(500), labels.split(500)))
    model.train()
    return right / len(labels)


def train(options):
    torch.manual_seed(options.seed)
    layout = speed.channels_last_or_not(options.channels_last)
    pixels, labels = read(options.data, TRAINING_FILES)
    frames = padded(pixels)
    pixels, test_labels = read(options.data, ["test_batch.bin"])
    test_images = normalized(pixels).contiguous(memory_format=layout)
    model = ResNet20().to(memory_format=layout)
    # the parts of a batch pass one after the other, and the running statistics move once a batch as far as they would in one
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1 - 0.9 ** (1 / options.ghost)
    optimizer = sgd(model, options.rate)
    steps = len(labels) // speed.BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=options.rate, total_steps=options.epochs * steps, pct_start=0.25, div_factor=25, final_div_factor=1e4, cycle_momentum=False)
    begin = time.monotonic()
    for epoch in range(1, options.epochs + 1):
        order, total = torch.randperm(len(labels)), 0.0
        for step in range(steps):
            chosen = order[step * speed.BATCH : (step + 1) * speed.BATCH]
            images = normalized(augmented(frames, chosen)).contiguous(memory_format=layout)
            optimizer.zero_grad()
            for x, y in zip(images.chunk(options.ghost), labels[chosen].chunk(options.ghost)):
                loss = functional.cross_entropy(model(x), y) / options.ghost
                loss.backward()
                total += loss.item()
            optimizer.step()
            schedule.step()
        accuracy, elapsed = evaluate(model, test_images, test_labels), time.monotonic() - begin
        print(f"seed {options.seed} epoch {epoch}/{options.epochs} loss {total / steps:.4f} test accuracy {accuracy:.4f} {elapsed:.0f} s", file=sys.stderr, flush=True)
    print(accuracy)


def main():
    parser = speed.arguments("accuracy")
    accuracy = parser.add_argument_group("accuracy")
    accuracy.add_argument("--seed", type=int, default=1)
    accuracy.add_argument("--epochs", type=int, default=12)
    accuracy.add_argument("--rate", type=float, default=0.2, help="the highest of the cycle")
    accuracy.add_argument("--ghost", type=int, default=1, help="parts of a batch, each normalized by itself; 2 is what two workers do")
    accuracy.add_argument("--channels-last", action="store_true")
    accuracy.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if options.mode != "accuracy":
        return speed.report(speed.Subject(ResNet20, 269722, sgd, some_augmented, (10000, 3, 32, 32), warm_up=30, loss=2.2), options)
    if not options.data:
        parser.error("accuracy wants --data")
    torch.set_num_threads(options.threads)
    train(options)


if __name__ == "__main__":
    main()
