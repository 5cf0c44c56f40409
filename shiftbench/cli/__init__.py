"""The command line: verbs and exit codes; without Hydra and torch."""
