"""What a manifest says about `model.onnx`."""

from __future__ import annotations

import os

import pytest
from pydantic import ValidationError

from modelstore import OnnxFile
from modelstore.onnx_file import forbid_telemetry

SHA256_OF_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1


def test_a_record_has_hash_length_and_operator_set() -> None:
    assert OnnxFile.of(b"abc", opset=20) == OnnxFile(sha256=SHA256_OF_ABC, size_bytes=3, opset=20)


def test_an_empty_file_is_no_model() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        OnnxFile.of(b"", opset=20)


def test_onnx_runtime_is_told_to_send_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    forbid_telemetry()
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
