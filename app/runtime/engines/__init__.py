"""Engines, which compute the answers of a version, and the choice of the quickest."""
