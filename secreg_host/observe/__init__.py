"""What is looked at: each component of what serves says how it is, once, for whoever shows it."""
