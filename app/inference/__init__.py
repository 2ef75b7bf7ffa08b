"""From bytes to predictions and back; knows no HTTP and no torch."""
