"""Networks that take their pool, head and padding as arguments.

A model is built as ``Model(num_classes, in_chans, image_size, pool, head, padding, **own)`` where
``pool(channels, padding=...)`` makes one downsampling layer and
``head(in_chans, map_size, num_classes)`` the classifier. It has ``forward_features(x)``,
``head`` and ``total_stride``.
"""
