"""Labels that come after the prediction: their checks, and the live figures of a version."""
