"""Labels that come after the prediction, and live figures; it must not know HTTP."""
