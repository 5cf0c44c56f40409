"""Heads: how the last feature map becomes logits.

A head is an ``nn.Module`` made as ``Head(in_chans, map_size, num_classes, **own)`` with
``forward(x)``, ``x: (N, C, h, w) -> (N, num_classes)``; ``is_global`` says whether it pools the
whole map. One that does not may have ``all_shifts(x) -> (N·h·w, num_classes)``, its logits for
every circular shift of the map, where that is cheaper than running it on each.
"""
