"""Where events live: a protocol and its implementations."""
