"""What boards of other tools look like: one module a format, each turning a file into items."""
