"""Activations: the non-linearity behind every convolution of ``vgg`` and ``resnet``.

An activation is a subclass of :class:`Activation`, which defines its constructor; a plain
``nn.Module`` with the same constructor is accepted as well. No registration is required: a yaml in
``configs/activation/`` (or in a user's own folder) names the class.
"""

from shiftbench.activation.base import Activation

__all__ = ["Activation"]
