"""Teams: several workers on one task at once, and one review of what they found."""
