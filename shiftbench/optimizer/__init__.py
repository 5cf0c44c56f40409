"""How a training step changes the weights.

An optimizer option is a callable ``make(model, settings) -> torch.optim.Optimizer``. ``settings``
has ``lr``, ``momentum`` and ``weight_decay`` of the ``train`` group; the training loop sets the
learning rate of every parameter group before each step, so a schedule needs nothing here. What a
yaml calls ``default_lr`` and ``default_weight_decay`` is what ``train.lr`` and
``train.weight_decay`` are where nobody gives them.

The state of the optimizer is kept in the checkpoint as ``state_dict()`` returns it: plain tensors
and numbers, so that a resumed training takes the same steps.
"""
