"""Engines: model × shift protocol → prediction table."""
