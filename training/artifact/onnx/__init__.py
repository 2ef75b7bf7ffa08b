"""Write the function of a module as `model.onnx`, a graph for other engines, and prove it."""
