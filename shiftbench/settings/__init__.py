"""The configuration: schema, range checks, labels of the chosen options; without torch."""
