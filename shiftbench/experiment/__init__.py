"""The execution of one run; the only package that uses both Hydra and torch."""
