"""Shift protocols: what moves, by how much, and what enters the frame.

A protocol is a frozen dataclass with

* ``axes``: names of the shift parameters, ``("dy", "dx")`` in pixels of the content, down and to
  the right, or ``("scale",)``, a side in pixels;
* ``plan(n_images, image_size) -> Plan``: which shifts every image is shown, before any is shown
  (raises :class:`~shiftbench.errors.UsageError` where the protocol cannot apply);
* ``views(images, shifts, mean) -> Tensor``: image n moved by ``shifts[n]``; pixels in, pixels out,
  before normalisation, so that black is truly black. uint8 in 0..255 comes back as uint8 or as
  float in 0..1.

and, where pixels are not enough,

* ``views_of(split, index, shifts) -> Tensor``: what ``views`` returns, for the images at positions
  ``index (N,)`` of a split that knows more than pixels; it is called instead of ``views``;
* ``check(split)``: raises :class:`~shiftbench.errors.UsageError` where the split cannot serve;
* ``source_sizes(image_size)`` and ``views_of_sources(sources, shifts, image_size, mean)``: at which
  sizes the images have to be for the views of a network whose input is ``image_size``, and those
  views, given the images at each of these sizes; they are called instead of ``views`` for a split
  that decodes them from their files (photographs).

Its fields, all of them, go into the meta of the table. A yaml of another name over the same class
is a preset that repeats a published evaluation.
"""
