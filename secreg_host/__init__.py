"""secure-registry: a private Docker/OCI registry on a plain Linux host."""

__version__ = "0.2.0"
