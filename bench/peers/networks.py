"""Larger networks by PyTorch, to be compared with onestep's of the same names, on random images.

    networks.py NETWORK MODE [--seconds S] [--batch N]        images/s and peak MiB

resnet56 is the one of He et al.'s CIFAR section, resnet18 torchvision's with the 3 x 3 stem of ports to CIFAR,
vgg16-bn has the classifier of such ports, 512-512-10; these three train on 32 x 32.
resnet50 is torchvision's, on 224 x 224.
"""
import sys

import cifar
import speed
import torch
import torch.nn.functional as functional
from torch import nn


class ResNet56(cifar.ResNet20):
    def __init__(self):
        super().__init__()
        for n, filters in enumerate((16, 32, 64), 1):
            layer = getattr(self, f"layer{n}")
            for _ in range(6):
                layer.append(cifar.Block(filters, filters, 1))


def conv_bn(inputs, filters, size, stride=1):
    return nn.Sequential(nn.Conv2d(inputs, filters, size, stride, size // 2, bias=False), nn.BatchNorm2d(filters))


class Residual(nn.Module):
    """A basic block of two 3 x 3, or a bottleneck of 1 x 1, 3 x 3, 1 x 1 with four times the filters.

    Shortcuts are of option B.
    """

    def __init__(self, inputs, filters, stride, bottleneck):
        super().__init__()
        outputs = filters * 4 if bottleneck else filters
        sizes = [(inputs, filters, 1, 1), (filters, filters, 3, stride), (filters, outputs, 1, 1)] if bottleneck else [
            (inputs, filters, 3, stride), (filters, filters, 3, 1)]
        self.parts = nn.ModuleList(conv_bn(*size) for size in sizes)
        self.shortcut = conv_bn(inputs, outputs, 1, stride) if stride > 1 or inputs != outputs else nn.Identity()

    def forward(self, x):
        y = x
        for part in self.parts[:-1]:
            y = functional.relu(part(y), inplace=True)
        return functional.relu(self.parts[-1](y) + self.shortcut(x), inplace=True)


def residual(stem, depths, bottleneck, classes):
    layers, inputs = [*stem, nn.ReLU(inplace=True)], 64
    if bottleneck:
        layers.append(nn.MaxPool2d(3, 2, 1))
    for stage, depth in enumerate(depths):
        for block in range(depth):
            layers.append(Residual(inputs, 64 << stage, 2 if stage and not block else 1, bottleneck))
            inputs = (64 << stage) * (4 if bottleneck else 1)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


def vgg16_bn():
    layers, inputs = [], 3
    for filters, convolutions in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(convolutions):
            layers += [nn.Conv2d(inputs, filters, 3, 1, 1), nn.BatchNorm2d(filters), nn.ReLU(inplace=True)]
            inputs = filters
        layers.append(nn.MaxPool2d(2, 2))
    layers.append(nn.Flatten())
    for _ in range(2):
        layers += [nn.Linear(512, 512), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Linear(512, 10))


def resnet18():
    return residual(conv_bn(3, 64, 3), (2, 2, 2, 2), False, 10)


def resnet50():
    return residual(conv_bn(3, 64, 7, 2), (3, 4, 6, 3), True, 1000)


SMALL, LARGE = (1024, 3, 32, 32), (64, 3, 224, 224)

# network, its parameters, images, steps of the warm-up
NETWORKS = {
    "resnet56": (ResNet56, 853018, SMALL, 6),
    "resnet18": (resnet18, 11173962, SMALL, 3),
    "vgg16-bn": (vgg16_bn, 15253578, SMALL, 3),
    "resnet50": (resnet50, 25557032, LARGE, 1),
}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in NETWORKS:
        sys.exit(f"usage: networks.py {'|'.join(NETWORKS)} MODE ...")
    network, parameters, shape, warm_up = NETWORKS[sys.argv.pop(1)]
    subject = speed.Subject(network, parameters, cifar.sgd, None, shape, warm_up, loss=0)
    speed.report(subject, speed.arguments().parse_args())
