"""What git does for a run: its worktree and what is put into it, its branch, and what is kept of both."""
