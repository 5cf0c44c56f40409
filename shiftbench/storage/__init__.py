"""Files: written atomically, locked, with named columns; without torch."""
