"""Loading of runs for a report: finding folders, reading files, recording their state."""
