"""The store on files: one log a task, locks, snapshots, short ids."""
