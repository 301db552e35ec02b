"""What an engine may see and reach, and how it is enclosed."""
