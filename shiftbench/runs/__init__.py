"""Runs and sweeps on disk: identity, state, provenance. No torch."""
