"""Codecs: one module for each format of rows and answers."""
