"""The end of a run: what brings it about, what it hung on, and what is kept of it."""
