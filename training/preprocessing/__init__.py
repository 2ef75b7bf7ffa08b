"""Transformations fitted on the training rows and stored inside `model.pt`."""
