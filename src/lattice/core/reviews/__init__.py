"""Reviews as data: findings, who found them, their merge, their life on a task, and their reports."""
