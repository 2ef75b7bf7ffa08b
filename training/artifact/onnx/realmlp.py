"""Write RealMLP networks to a graph.

M is networks, N rows, C numbers, T texts, E inputs of the first layer.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from training.artifact.onnx.graph import Value
from training.artifact.onnx.writers import write
from training.learners.realmlp.inputs import Inputs
from training.learners.realmlp.network import Embedding, Layer, Networks, RealMLPClassifier, RealMLPRegressor

LEAST_BLEND = 1e-20  # what a unit's share of its activation counts as, if it is 0: one divides by it


@write.register
def write_classifier(module: RealMLPClassifier, x: Value) -> Value:
    """Add the nodes of a `RealMLPClassifier`."""
    return _write_networks(module.networks, module.inputs, x).softmax(2).mean_of_first()


@write.register
def write_regressor(module: RealMLPRegressor, x: Value) -> Value:
    """Add the nodes of a `RealMLPRegressor`."""
    outputs = _write_networks(module.networks, module.inputs, x)
    clamped = x.graph.add("Clip", outputs, float(module.lowest), float(module.highest))
    return clamped.mean_of_first() * module.scale + module.mean


def _write_networks(networks: Networks, inputs: Inputs, x: Value) -> Value:
    """Return logits, (M, N, K).

    The factor of each input and the share of each activation are multiplied into the weights that follow, which saves
    a node each.
    """
    embedding, factor = networks.embedding, networks.scale.detach().double()  # (M, 1, E)
    values = _write_embedding(embedding, inputs, x)
    for layer in networks.hidden:
        assert isinstance(layer, Layer)
        before = values @ _scale(layer.weight, factor) + layer.bias
        factor = _shares(layer)
        values = _write_activation(before, ((1 - layer.blend.double()) / factor).float(), mish=layer.mish)
    return values @ _scale(networks.output.weight, factor) + networks.output.bias


def _scale(weight: Tensor, factor: Tensor) -> Tensor:
    """Return weights, (M, I, O), times the factor of each input, (M, 1, I)."""
    return (weight.detach().double() * factor.transpose(1, 2)).float()


def _shares(layer: Layer) -> Tensor:
    blend = layer.blend.detach().double()
    return torch.where(blend.abs() < LEAST_BLEND, LEAST_BLEND, blend)


def _write_activation(x: Value, rest: Tensor, *, mish: bool) -> Value:
    """Return SELU or Mish of x, plus `rest` times x.

    Mish is x tanh(softplus(x)) = x (2 / (1 + s^2) - 1) with s = sigmoid(-x), which takes less than half the time.
    """
    graph = x.graph
    if not mish:
        return graph.add("Selu", x) + x * rest
    sigmoid = graph.add("Sigmoid", graph.add("Neg", x))
    return x * (graph.add("Div", 2.0, sigmoid * sigmoid + 1.0) + (rest.double() - 1).float())


def _write_embedding(embedding: Embedding, inputs: Inputs, x: Value) -> Value:
    """Return the inputs of the first layer, (M, N, E)."""
    models, graph = embedding.table.shape[0], x.graph
    dense = []
    numbers = _write_numbers(inputs, x) if inputs.has_numbers else None  # (N, C)
    if numbers:
        dense.append(numbers)
    dense += _write_told(inputs, x)
    parts = [graph.add("Expand", dense[0].beside(*dense[1:]), np.array([models, 1, 1]))] if dense else []
    if numbers:
        column = numbers.graph.add("Transpose", numbers, perm=[1, 0]).reshape(1, embedding.numbers, -1, 1)
        waves = graph.add("Cos", column * (2 * math.pi * embedding.frequency) + embedding.phase)  # (M, C, N, 16)
        mixed = graph.add("Transpose", waves @ embedding.mix + embedding.shift, perm=[0, 2, 1, 3])
        parts.append(mixed.reshape(0, 0, -1))
    if embedding.has_texts:
        vectors = graph.add("Gather", embedding.table, _write_codes(inputs, x), axis=1)  # (M, N, T, 8)
        parts.append(vectors.reshape(0, 0, -1))
    return parts[0].beside(*parts[1:], axis=2)


def _write_numbers(inputs: Inputs, x: Value) -> Value:
    """Return scaled and smoothly clipped numbers, (N, C)."""
    scaled = ((write(inputs.expand, x) - inputs.median) * inputs.factor).without_missing()
    scaled = x.graph.add("Clip", scaled, -inputs.largest, inputs.largest)
    share = scaled * (1 / inputs.clip)
    return scaled / x.graph.add("Sqrt", share * share + 1.0)


def _write_told(inputs: Inputs, x: Value) -> list[Value]:
    """Return columns of two values, (N, P), and whether values are missing, (N, G), where there are any."""
    told = []
    if inputs.has_pairs:
        pairs = x.columns(inputs.pairs)
        told.append((pairs * 2.0 - 1.0).where(x.graph.add("LessOrEqual", pairs, 1.0), 0.0))
    if inputs.has_gaps:
        told.append(x.columns(inputs.gaps).is_missing().as_float())
    return told


def _write_codes(inputs: Inputs, x: Value) -> Value:
    """Return rows of the table of codes, int64 (N, T)."""
    texts = x.columns(inputs.texts)
    row = x.graph.add("Max", texts, 0.0) + inputs.first
    return row.where(x.graph.add("LessOrEqual", texts, inputs.last), 0.0).as_int()
