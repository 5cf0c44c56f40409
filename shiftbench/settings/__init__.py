"""The configuration: its schema, its ranges, the labels of what was chosen. No torch."""
