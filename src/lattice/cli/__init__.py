"""The command line: parse, act, render."""
