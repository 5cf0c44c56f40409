"""Heads: how the last feature map becomes logits.

A head is a subclass of :class:`Head`, which says what it is made with and what it may override; a
plain ``nn.Module`` with the same constructor works, too.
"""

from shiftbench.head.base import Head

__all__ = ["Head"]
