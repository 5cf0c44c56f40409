"""From what was typed to jobs: everything that knows Hydra but instantiation. No torch."""
