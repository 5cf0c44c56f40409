"""Shift protocols: what moves, by how much, and what enters the frame.

A protocol is a frozen dataclass with

* ``axes``: names of the shift parameters, ``("dy", "dx")`` in pixels;
* ``plan(n_images, image_size) -> Plan``: which shifts every image is shown, before any is shown
  (raises :class:`~shiftbench.errors.UsageError` where the protocol cannot apply);
* ``views(images, shifts, mean) -> Tensor``: image n moved by ``shifts[n]``; pixels in, pixels out,
  before normalisation, so that black is truly black.

Its fields, all of them, go into the meta of the table.
"""
