"""How many runs go at once, whose turn it is, and which are tried again."""
