"""Metrics, drift, traces and logs; independent of models and requests."""
