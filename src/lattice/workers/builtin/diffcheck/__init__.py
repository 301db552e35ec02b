"""DiffCheck: the built-in reviewer that needs no model.

It reads the diff between two commits through git, applies fixed rules to the added lines, runs the
linters and tests the project itself configures, and writes `review.json` and `review.md`.
"""
