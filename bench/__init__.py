"""Measurements: `python -m bench` prints the numbers that README quotes."""
