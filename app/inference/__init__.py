"""Turn request bytes into predictions and back; independent of HTTP and torch."""
