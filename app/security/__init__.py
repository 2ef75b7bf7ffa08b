"""Who may do what, how often, and the audit; it must not know models or training."""
