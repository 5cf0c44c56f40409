"""Augmentation in training: shifts, rotations, rescaling.

An augmentation is a callable ``augment(images, generator) -> images`` on a batch
``(N, C, H, W)`` of pixels (uint8 in 0..255 or float in 0..1), on any device. Draws are
made per image on the CPU from the given generator, so they do not depend on the device.
A subclass of :class:`shiftbench.augment.base.Augmentation` separates its draws from their effect,
so that a training step on CUDA can be captured; a plain callable is trained by the plain loop.
"""
