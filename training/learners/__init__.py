"""Learners, all behind one protocol; know no files and no terminal."""
