"""Measurements of speed and quality beside other systems; no package may import it."""
