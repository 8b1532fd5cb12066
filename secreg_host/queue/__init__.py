"""Whose password is checked next: fair between clients, for those who wait, before what takes time."""
