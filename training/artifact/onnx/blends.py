"""Write modules made of other modules to a graph: blends, temperatures, shifts.

They must not know learners.
"""

from __future__ import annotations

from training.artifact.onnx.graph import Value
from training.artifact.onnx.writers import write
from training.learners.auto.blend import Blend
from training.learners.temperature import Calibrated


@write.register
def write_blend(module: Blend, x: Value) -> Value:
    """Add the nodes of the parts and of their weighted sum."""
    shares = [write(part, x) * float(share) for part, share in zip(module.parts, module.weights, strict=True)]
    return x.graph.add("Sum", *shares)


@write.register
def write_calibrated(module: Calibrated, x: Value) -> Value:
    """Add the nodes of a `Calibrated`."""
    logits = x.graph.add("Log", write(module.model, x)) + module.shift
    return (logits / module.temperature).softmax(1)
