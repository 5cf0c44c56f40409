"""Content digests of a run's inputs: data sets, files and third-party source; without torch.

A path does not identify its content: images are replaced, code is edited. The parts of a run's
identity from outside the configuration are therefore SHA-256 digests.
"""
