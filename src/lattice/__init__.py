"""Lattice: a board of tasks beside the code, and supervised workers on it."""

__version__ = "0.1.0"
