"""The files of a version, and their reproduction; it must not know the gate's rule."""
