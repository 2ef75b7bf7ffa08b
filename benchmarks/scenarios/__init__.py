"""What is measured of speed: one function a scenario, listed in `catalogue.py`."""
