"""What a worker can be made of: one row an engine.

An engine here turns a definition into what is executed. Both of these run a program that the
definition names; the agents' own command lines come with their adapters.
"""
