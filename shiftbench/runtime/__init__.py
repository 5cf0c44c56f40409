"""The machine: devices, threads, memory, output streams, failures."""
