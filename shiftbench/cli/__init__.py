"""The command line: verbs and exit codes. No Hydra, no torch."""
