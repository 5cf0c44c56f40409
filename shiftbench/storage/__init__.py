"""Files: whole or absent, locked, with named columns. No torch."""
