"""Metrics, drift, traces and logs; it must not know how requests are answered."""
