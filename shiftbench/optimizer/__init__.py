"""Optimizers: how a training step updates the weights.

An optimizer option is a callable ``make(model, settings) -> torch.optim.Optimizer``. ``settings``
has the values ``lr``, ``momentum`` and ``weight_decay`` of the ``train`` group. The training loop
sets the learning rate of every parameter group before each step, so an optimizer need not implement
schedules. ``default_lr`` and ``default_weight_decay`` in the option's yaml are the defaults of
``train.lr`` and ``train.weight_decay``.

The checkpoint contains the optimizer's ``state_dict()``, which has to consist of plain tensors and
numbers, so that a resumed training takes the same steps as an uninterrupted one.
"""
