"""The domain, pure: no files, no clock, no randomness, no environment, no processes."""
