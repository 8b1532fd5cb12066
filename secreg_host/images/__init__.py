"""The registry's store: where images are."""
