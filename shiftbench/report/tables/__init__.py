"""The tables of a report, and their renderers for the terminal, markdown and LaTeX."""
