from __future__ import annotations

from modelstore import Signature, TensorSpec


def test_signature_of_a_classifier_is_raw_features_to_probabilities() -> None:
    assert Signature.for_output("probabilities", 3, cells=4) == Signature(
        inputs=(TensorSpec(name="features", datatype="FP32", shape=(-1, 4)),),
        outputs=(TensorSpec(name="probabilities", datatype="FP32", shape=(-1, 3)),),
    )
