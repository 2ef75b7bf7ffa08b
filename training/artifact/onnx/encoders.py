"""Write the encoders of `training.preprocessing` to a graph.

N is rows, D dates.
"""

from __future__ import annotations

import math

import numpy as np
from torch import nn

from training.artifact.onnx.graph import Value
from training.artifact.onnx.writers import write
from training.preprocessing.encoder import Encoder, Expand
from training.preprocessing.scaler import StandardScaler


@write.register
def write_identity(module: nn.Identity, x: Value) -> Value:
    """Return the input."""
    return x


@write.register
def write_scaler(module: StandardScaler, x: Value) -> Value:
    """Add the nodes of a `StandardScaler`."""
    return ((x - module.mean) / module.scale).without_missing()


@write.register
def write_encoder(module: Encoder, x: Value) -> Value:
    """Add the nodes of an `Encoder`."""
    return write(module.scaler, write(module.expand, x))


@write.register
def write_expand(module: Expand, x: Value) -> Value:
    """Add the nodes of an `Expand`."""
    parts = [x.columns(module.numbers)] if len(module.numbers) else []
    if module.has_dates:
        parts.append(write_calendar(x.columns(module.days), x.columns(module.days + 1)).columns(module.parts))
    if module.has_texts:
        parts.append(x.graph.add("Equal", x.columns(module.texts), module.codes).as_float())
    if module.has_gaps:
        parts.append(x.columns(module.gaps).is_missing().as_float())
    return parts[0].beside(*parts[1:])


def write_calendar(days: Value, seconds: Value) -> Value:
    """Add the nodes of `training.preprocessing.encoder.calendar`, which says what they compute and why."""
    graph, since = days.graph, days + 719468.0
    era = (since / 146097.0).floor()
    day = since - era * 146097.0
    of_era = (day - (day / 1460.0).floor() + (day / 36524.0).floor() - (day / 146096.0).floor()) / 365.0
    of_era = of_era.floor()
    day = day - (of_era * 365.0 + (of_era / 4.0).floor() - (of_era / 100.0).floor())
    month = ((day * 5.0 + 2.0) / 153.0).floor() + 2.0
    month = month.modulo(12.0) + 1.0
    year = of_era + era * 400.0 + graph.add("LessOrEqual", month, 2.0).as_float()
    angle = day * (2 * math.pi / 365.25)
    sine, cosine = graph.add("Sin", angle), graph.add("Cos", angle)
    hour = (seconds / np.array(3600, dtype=np.float32)).floor()
    return days.beside(year, month, (days + 3.0).modulo(7.0), sine, cosine, hour)
