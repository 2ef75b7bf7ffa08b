"""Transformations fitted on training rows, for `model.pt`; they must not know learners."""
