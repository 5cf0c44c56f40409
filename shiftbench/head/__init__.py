"""Heads: how the last feature map becomes logits.

A head is an ``nn.Module`` made as ``Head(in_chans, map_size, num_classes, **own)`` with
``forward(x)``, ``x: (N, C, h, w) -> (N, num_classes)``; ``is_global`` says that it pools the whole
map.
"""
