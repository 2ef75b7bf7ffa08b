"""Storage of uploaded data sets; it must not know training."""
