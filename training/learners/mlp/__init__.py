"""The multi-layer perceptron of the tutorials, and how it learns."""
