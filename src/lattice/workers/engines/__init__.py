"""Agents' command lines: how each is called, and what its stream says. One file an engine, one table."""
