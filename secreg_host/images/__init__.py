"""The registry's store: where images are, and what is in it."""
