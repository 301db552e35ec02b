"""Reviews by workers: what of them needs git and processes."""
