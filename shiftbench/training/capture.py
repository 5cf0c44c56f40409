"""The whole training step as a CUDA graph, which is replayed instead of launched kernel by kernel.

Small networks are bound by launching kernels from Python: on an H100, ResNet-20 in bf16 with
batches of 256 trains five times as fast as a graph. The graph works on tensors that stay in place:
each step copies its batch, draws and learning rate into them. It computes the same kernels as the
plain step, so that results are the same bits where kernels are deterministic.
"""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor, nn

from shiftbench.augment.base import Draws
from shiftbench.errors import UsageError
from shiftbench.runtime.cuda_graphs import in_one_line, on_side_stream
from shiftbench.training.step import Step, TrainingStep

log = logging.getLogger(__name__)

AUTO, ON, OFF = "auto", "true", "false"
WARM_UP = 3  # steps before the capture, in which libraries choose algorithms and allocate memory
# Largest difference of a weight, relative to the largest change in the step: kernels may be
# nondeterministic, but a graph that left out part of the step is wrong by more than this.
TOLERANCE = 1e-3


def fastest(
    capture: object, step: Step, images: Tensor, labels: Tensor, draws: Draws
) -> TrainingStep:
    """Return the step as a CUDA graph if ``capture`` requests it, otherwise the step itself.

    A graph is compared with the plain step on the given batch. Weights, optimizer and random state
    are unchanged afterwards.

    Args:
        capture: ``auto``: if possible; ``true``: required; ``false``: not.
        step: The plain step.
        images: Of the first batch.
        labels: Of the first batch.
        draws: Of the first batch.

    Raises:
        UsageError: If it is required and not possible.
    """
    capture = str(capture).lower()  # true and false of yaml
    if capture == OFF or (capture == AUTO and step.network.device.type != "cuda"):
        return step
    reason = obstacle(step)
    if not reason:
        try:
            captured = CapturedStep(step, images, labels, draws)
        except Exception as error:  # whatever a third-party network or kernel raises
            reason = in_one_line(error)
        else:
            log.info("training step captured as a CUDA graph")
            return captured
    if capture == ON:
        raise not_possible(reason)
    log.info("training step not captured: %s", reason)
    return step


def obstacle(step: Step) -> str:
    """Return why a step cannot be captured, '' if it can be tried."""
    if reason := device_obstacle(step.network.device):
        return reason
    if step.processes > 1:
        return f"{step.processes} processes share each batch"
    if not step.augmentation.is_ahead:
        return "the augmentation is a plain callable; derive it from Augmentation"
    if not has_tensor_rate(step.optimizer):
        name = type(step.optimizer).__name__
        return f"the optimizer {name} is made with neither fused=True nor capturable=True"
    return ""


def device_obstacle(device: torch.device) -> str:
    """Return why no step can be captured on a device, '' if it has CUDA graphs."""
    return (
        "" if device.type == "cuda" else f"the device is {device.type}, and CUDA graphs need cuda"
    )


def not_possible(reason: str) -> UsageError:
    """Return the error for ``train.capture=true`` where a step cannot be captured."""
    return UsageError(f"train.capture=true is not possible: {reason}; use train.capture=auto")


def has_tensor_rate(optimizer: torch.optim.Optimizer) -> bool:
    """Whether an optimizer reads its learning rate on the device, from a tensor."""
    groups = optimizer.param_groups
    return all(group.get("fused") or group.get("capturable") for group in groups)


class CapturedStep:
    """A training step as a CUDA graph.

    Raises:
        RuntimeError: If it cannot be captured, or differs from the plain step on the first batch.
    """

    def __init__(self, step: Step, images: Tensor, labels: Tensor, draws: Draws) -> None:
        self._inputs = tuple(one.clone() for one in (images, labels, *draws))
        self.graph = torch.cuda.CUDAGraph()
        before = Snapshot(step.network.model, step.optimizer)
        try:
            after = self._warm_up(step, before)
            step.optimizer.zero_grad(set_to_none=True)
            with torch.cuda.graph(self.graph):
                self._outputs = self._run(step)
            before.restore()
            self.graph.replay()
            before.require(after)
        finally:
            before.restore()

    def __call__(self, images: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Update the weights; return the loss and the number of correct answers, on the device."""
        for own, given in zip(self._inputs, (images, labels, *draws), strict=True):
            own.copy_(given)
        self.graph.replay()
        loss, correct = self._outputs
        return loss.clone(), correct.clone()

    def _run(self, step: Step) -> tuple[Tensor, Tensor]:
        images, labels, *draws = self._inputs
        return step(images, labels, tuple(draws))

    def _warm_up(self, step: Step, before: Snapshot) -> list[Tensor]:
        """Return the weights after one plain step."""
        after: list[Tensor] = []

        def steps() -> None:
            self._run(step)
            after.extend(before.weights())
            for _ in range(WARM_UP - 1):
                self._run(step)

        on_side_stream(steps)
        return after


class Snapshot:
    """Weights, buffers, state of the optimizer and random state, restored in place.

    A graph works at fixed addresses, so tensors are overwritten, not replaced. State that the
    optimizer did not have yet becomes 0: its first step then does the same as without a state.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        self._parameters = list(model.parameters())
        self._tensors = [*self._parameters, *model.buffers()]
        self._kept = [one.detach().clone() for one in self._tensors]
        self._state = {
            (parameter, name): value.clone()
            for parameter, state in optimizer.state.items()
            for name, value in state.items()
            if isinstance(value, Tensor)
        }
        self._random = _random_state()

    def weights(self) -> list[Tensor]:
        """Return a copy of the weights."""
        return [one.detach().clone() for one in self._parameters]

    @torch.no_grad()
    def restore(self) -> None:
        """Restore everything."""
        for own, kept in zip(self._tensors, self._kept, strict=True):
            own.copy_(kept)
        for parameter, state in self.optimizer.state.items():
            for name, value in state.items():
                if isinstance(value, Tensor):
                    kept_state = self._state.get((parameter, name))
                    value.copy_(kept_state) if kept_state is not None else value.zero_()
        if self._random is not None:
            torch.cuda.set_rng_state(self._random)

    def require(self, expected: list[Tensor]) -> None:
        """Compare the weights with those after a plain step from the same state.

        Raises:
            RuntimeError: If they differ by more than :data:`TOLERANCE`.
        """
        largest = [
            (float((own.detach() - wanted).abs().max()), float((wanted - kept).abs().max()))
            for own, wanted, kept in zip(self._parameters, expected, self._kept, strict=False)
            if own.numel()
        ]
        gap, change = (max((pair[at] for pair in largest), default=0.0) for at in (0, 1))
        if not gap <= TOLERANCE * change:
            raise RuntimeError(
                f"its first step differs from the plain one (weights by {gap:.2g}, their largest "
                f"change is {change:.2g})"
            )


def _random_state() -> Any:
    return torch.cuda.get_rng_state() if torch.cuda.is_available() else None
