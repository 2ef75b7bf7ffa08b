"""Learners behind one protocol; they know no files and no terminal."""
