"""The workers that come with Lattice."""
