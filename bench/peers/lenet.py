"""LeNet trained by PyTorch, to be compared with onestep's: the net of nets/lenet.c, the hyperparameters of configs/mnist-lenet.ini, 128 images a step.

    lenet.py MODE [--data FOLDER] [--seconds S]
"""
import gzip
import os

import numpy
import speed
import torch
import torch.nn.functional as functional


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
    pixels = read_idx(folder, "train-images-idx3-ubyte", 16).reshape(-1, 1, 28, 28)
    labels = read_idx(folder, "train-labels-idx1-ubyte", 8)
    return (torch.from_numpy(pixels.copy()).float() / 255 - 0.1307) / 0.3081, torch.from_numpy(labels.astype(numpy.int64))


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=0.0005, fused=True)


if __name__ == "__main__":
    subject = speed.Subject(LeNet, 431080, sgd, training_set, (60000, 1, 28, 28), warm_up=60, loss=1)
    speed.report(subject, speed.arguments().parse_args())
