"""Learners behind one protocol; they must not know files or the terminal."""
