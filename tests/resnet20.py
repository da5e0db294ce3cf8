"""ResNet-20 in numpy, from the paper's text: random weights as a safetensors file, some pixels, and the logits of a forward pass in double precision.

    resnet20.py FOLDER A|B torchvision|port

A and B are the paper's shortcuts where the shape changes. Names are torchvision's, or those of ports to CIFAR that say linear for fc and shortcut for
downsample. FOLDER gets weights.safetensors, pixels (N x 3 x 32 x 32 bytes) and logits (N x 10 floats).
"""
import json
import os
import sys

import numpy

IMAGES = 5
MEAN = numpy.array([0.4914, 0.4822, 0.4465]).reshape(3, 1, 1)
STD = numpy.array([0.2470, 0.2435, 0.2616]).reshape(3, 1, 1)
EPSILON = 1e-5

random = numpy.random.default_rng(20)
tensors = {}


def tensor(name, values):
    """Kept as it will be in the file, so that the forward pass sees what a reader sees."""
    tensors[name] = numpy.ascontiguousarray(values, dtype=numpy.float32)
    return tensors[name].astype(numpy.float64)


def convolution(name, x, filters, size, stride):
    channels, pad = x.shape[1], size // 2
    weight = tensor(name + ".weight", random.normal(0, (2 / (channels * size * size)) ** 0.5, (filters, channels, size, size)))
    padded = numpy.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = numpy.lib.stride_tricks.sliding_window_view(padded, (size, size), (2, 3))[:, :, ::stride, ::stride]
    return numpy.tensordot(windows, weight, ((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)


def normalization(name, x):
    channels = x.shape[1]
    weight = tensor(name + ".weight", random.uniform(0.5, 1.5, channels))
    bias = tensor(name + ".bias", random.normal(0, 0.2, channels))
    mean = tensor(name + ".running_mean", random.normal(0, 0.2, channels))
    variance = tensor(name + ".running_var", random.uniform(0.5, 2, channels))
    tensors[name + ".num_batches_tracked"] = numpy.array(7, dtype=numpy.int64)
    planes = [values.reshape(-1, 1, 1) for values in (weight, bias, mean, variance)]
    return (x - planes[2]) / numpy.sqrt(planes[3] + EPSILON) * planes[0] + planes[1]


def relu(x):
    return numpy.maximum(x, 0)


def across(name, x, filters, stride, option):
    channels = x.shape[1]
    if channels == filters and stride == 1:
        return x
    if option == "B":
        return normalization(name + ".1", convolution(name + ".0", x, filters, 1, stride))
    zeros = (filters - channels) // 2
    return numpy.pad(x[:, :, ::stride, ::stride], ((0, 0), (zeros, zeros), (0, 0), (0, 0)))


def logits(pixels, option, last, shortcut):
    x = relu(normalization("bn1", convolution("conv1", (pixels / 255 - MEAN) / STD, 16, 3, 1)))
    for stage in range(3):
        for number in range(3):
            block, filters, stride = f"layer{stage + 1}.{number}", 16 << stage, 2 if stage and not number else 1
            y = relu(normalization(block + ".bn1", convolution(block + ".conv1", x, filters, 3, stride)))
            y = normalization(block + ".bn2", convolution(block + ".conv2", y, filters, 3, 1))
            x = relu(y + across(f"{block}.{shortcut}", x, filters, stride, option))
    weight = tensor(last + ".weight", random.normal(0, 0.2, (10, 64)))
    return x.mean((2, 3)) @ weight.T + tensor(last + ".bias", random.normal(0, 0.2, 10))


def write_safetensors(path):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name in sorted(tensors):
        values = tensors[name]
        header[name] = {"dtype": "I64" if values.dtype == numpy.int64 else "F32", "shape": list(values.shape), "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in sorted(tensors):
            file.write(tensors[name].tobytes())


def main():
    folder, option, names = sys.argv[1:]
    pixels = random.integers(0, 256, (IMAGES, 3, 32, 32), dtype=numpy.uint8)
    last, shortcut = ("fc", "downsample") if names == "torchvision" else ("linear", "shortcut")
    logits(pixels, option, last, shortcut).astype(numpy.float32).tofile(os.path.join(folder, "logits"))
    pixels.tofile(os.path.join(folder, "pixels"))
    write_safetensors(os.path.join(folder, "weights.safetensors"))


main()
