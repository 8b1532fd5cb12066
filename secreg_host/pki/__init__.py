"""Certificates and authorities: what is issued, whose they are, what a client makes of them."""
