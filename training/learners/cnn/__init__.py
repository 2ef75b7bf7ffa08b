"""Convolutional networks for rows that are images."""
