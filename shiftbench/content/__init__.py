"""What a run is made from, by content: data sets, files and third-party source; no torch.

A path says where something is, not what it is: images are replaced, code is edited. The parts of
a run's identity that come from outside of the configuration are therefore SHA-256 digests.
"""
