"""``python -m shiftbench``: the same as the command ``shiftbench``."""

from shiftbench.cli.main import main

main()
