"""ResNet-50 on random images of 224 x 224 by PyTorch and torchvision, to be compared with onestep's.

    imagenet.py MODE [--seconds S] [--device cuda] [--autocast] [--batch N]
"""
import speed
import torch
import torchvision


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4, fused=True)


if __name__ == "__main__":
    subject = speed.Subject(torchvision.models.resnet50, 25557032, sgd, None, (1024, 3, 224, 224), warm_up=18, loss=0)
    speed.report(subject, speed.arguments().parse_args())
