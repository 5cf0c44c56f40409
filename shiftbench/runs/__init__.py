"""Runs and sweeps on disk: identity, state, provenance; without torch."""
