"""Check any server against the Open Inference Protocol; it must not know our service."""
