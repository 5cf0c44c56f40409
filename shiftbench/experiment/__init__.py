"""The story of one run; the only package that knows both Hydra and torch."""
