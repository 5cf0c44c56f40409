"""Data sets: each one file with a ``load`` function and one yaml."""
