"""Loads versions, proves them and computes with them: the only room with torch."""
