"""Runs as a report reads them: found, read, and what is known of each."""
