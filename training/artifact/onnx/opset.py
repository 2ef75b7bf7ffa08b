"""The operator sets of `model.onnx`; known without the extra `onnx`."""

OPSET = 20  # Gelu is of 20, and onnxruntime 1.17 has it
ML, ML_OPSET = "ai.onnx.ml", 3  # nodes_missing_value_tracks_true and float32 thresholds
