"""dockerd: what it is told, its files, and proving that it took it over."""
