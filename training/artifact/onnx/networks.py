"""Write plain and convolutional networks, linear models and their links to a graph."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from training.artifact.onnx.graph import Value
from training.artifact.onnx.writers import write
from training.learners.auto.networks import FoldedNetworks
from training.learners.cnn.network import SimpleCNN
from training.learners.mlp.network import MLP, BinaryLink, Classifier, Regressor, ValueLink

PLAIN: dict[type[nn.Module], str] = {nn.ReLU: "Relu", nn.Tanh: "Tanh", nn.Sigmoid: "Sigmoid"}


@write.register
def write_model(module: Classifier | Regressor, x: Value) -> Value:
    """Add the nodes of a whole model: encoder, network, link."""
    for part in (module.expand, module.scaler, module.net, module.link):
        x = write(part, x)
    return x


@write.register
def write_mlp(module: MLP, x: Value) -> Value:
    """Add the nodes of an `MLP`."""
    return write(module.layers, x)


@write.register
def write_cnn(module: SimpleCNN, x: Value) -> Value:
    """Add the nodes of a `SimpleCNN`."""
    images = x.reshape(-1, module.channels, module.height, module.width)
    return write(module.head, x.graph.add("Flatten", write(module.blocks, images), axis=1))


@write.register
def write_sequence(module: nn.Sequential, x: Value) -> Value:
    """Add the nodes of one module after the other."""
    for part in module:
        x = write(part, x)
    return x


@write.register
def write_dropout(module: nn.Dropout, x: Value) -> Value:
    """Return the input: nothing is dropped in evaluation mode."""
    return x


@write.register
def write_linear(module: nn.Linear, x: Value) -> Value:
    """Add one node."""
    bias = () if module.bias is None else (module.bias,)
    return x.graph.add("Gemm", x, module.weight, *bias, transB=1)


@write.register
def write_convolution(module: nn.Conv2d, x: Value) -> Value:
    """Add one node; padding, stride and dilation as torch has them."""
    (top, left), bias = map(int, module.padding), () if module.bias is None else (module.bias,)
    pads, steps = [top, left, top, left], {"strides": module.stride, "dilations": module.dilation}
    return x.graph.add("Conv", x, module.weight, *bias, domain="", pads=pads, group=module.groups, **steps)


@write.register
def write_pooling(module: nn.MaxPool2d, x: Value) -> Value:
    """Add one node of square windows side by side."""
    side = module.kernel_size
    return x.graph.add("MaxPool", x, kernel_shape=[side, side], strides=[module.stride, module.stride])


@write.register
def write_normalisation(module: nn.BatchNorm1d | nn.BatchNorm2d, x: Value) -> Value:
    """Add a product and a sum for each channel, from the running moments."""
    mean, variance = module.running_mean, module.running_var
    assert mean is not None
    assert variance is not None  # all that the learners make track them
    factor = module.weight.double() / torch.sqrt(variance.double() + module.eps)
    shape = (-1, 1, 1) if isinstance(module, nn.BatchNorm2d) else (-1,)
    shift = module.bias.double() - mean.double() * factor
    return x * factor.float().reshape(shape) + shift.float().reshape(shape)


@write.register
def write_activation(module: nn.ReLU | nn.Tanh | nn.Sigmoid, x: Value) -> Value:
    """Add one node without attributes."""
    return x.graph.add(PLAIN[type(module)], x)


@write.register
def write_leaky(module: nn.LeakyReLU, x: Value) -> Value:
    """Add one node with its slope."""
    return x.graph.add("LeakyRelu", x, alpha=module.negative_slope)


@write.register
def write_elu(module: nn.ELU, x: Value) -> Value:
    """Add one node with its limit."""
    return x.graph.add("Elu", x, alpha=module.alpha)


@write.register
def write_gelu(module: nn.GELU, x: Value) -> Value:
    """Add one node, exact or approximate."""
    return x.graph.add("Gelu", x, approximate=module.approximate)


@write.register
def write_softmax(module: nn.Softmax, x: Value) -> Value:
    """Add one node along the same axis."""
    assert module.dim is not None
    return x.softmax(module.dim)


@write.register
def write_binary(module: BinaryLink, x: Value) -> Value:
    """Add the softmax of 0 and the logit, along the last axis: onnxruntime's sigmoid makes small probabilities 0."""
    return (x * np.array([0, 1], dtype=np.float32)).softmax(-1)


@write.register
def write_value(module: ValueLink, x: Value) -> Value:
    """Add the nodes of a `ValueLink`."""
    return x * module.scale + module.mean


@write.register
def write_folded(module: FoldedNetworks, x: Value) -> Value:
    """Add the nodes of M networks, which compute together as there."""
    outputs = write(module.scaler, write(module.expand, x))  # (N, E), which each of the M products takes
    for layer in module.hidden:
        outputs = x.graph.add("Relu", outputs @ _tensor(layer.weight) + _tensor(layer.bias))
    outputs = outputs @ module.last.weight + module.last.bias
    if module.classes == 0:
        return (outputs * module.scale + module.mean).mean_of_first()
    outputs = write(BinaryLink(), outputs) if module.classes == 2 else outputs.softmax(2)
    return outputs.mean_of_first()


def _tensor(value: Tensor | nn.Module) -> Tensor:
    assert isinstance(value, Tensor)  # the type of a module list's attributes is not known
    return value
