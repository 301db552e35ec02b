"""Process trees of this machine: found, measured, signalled, and known to be gone."""
