"""Turn request bytes into predictions and back; it must not know HTTP or torch."""
