"""Data sets that clients send; knows no training."""
