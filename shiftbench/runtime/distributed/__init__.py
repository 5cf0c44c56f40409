"""One command over several processes, as torchrun starts them; imports no torch by itself."""
