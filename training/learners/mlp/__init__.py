"""The multi-layer perceptron of the tutorials, and its training."""
