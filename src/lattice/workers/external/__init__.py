"""Runs that Lattice did not start."""
