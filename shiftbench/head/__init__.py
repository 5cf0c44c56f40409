"""Heads: classifiers from the last feature map to logits.

A head is an ``nn.Module`` made as ``Head(in_chans, map_size, num_classes, **own)`` with
``forward(x)``, ``x: (N, C, h, w) -> (N, num_classes)``; ``is_global`` states whether it pools
over all positions. A head that does not may have ``all_shifts(x) -> (N·h·w, num_classes)``, its
logits for every circular shift of the map, if that is cheaper than a pass for each.
"""
