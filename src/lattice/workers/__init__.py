"""Named agents that run against a task, each supervised to a certain end."""
