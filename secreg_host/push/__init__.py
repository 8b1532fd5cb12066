"""Manifests on their way to the registry: what is pushed, and deleted, under a lock, by the store's user."""
