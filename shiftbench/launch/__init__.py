"""From the command line to jobs: all use of Hydra except instantiation; without torch."""
