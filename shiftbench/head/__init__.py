"""Heads: classifiers from the last feature map to logits.

A head is a subclass of :class:`Head`, which defines its constructor and the methods that it may
override; a plain ``nn.Module`` with the same constructor is accepted as well.
"""

from shiftbench.head.base import Head

__all__ = ["Head"]
