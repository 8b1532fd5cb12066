"""What changed, and asking for an apply."""
