"""Tracing of a forward pass: pairs of layers in which only the second reads the first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Uses(TorchDispatchMode):
    """Dispatch mode that records which operations of a forward pass access which storage.

    It finds pairs of layers such that the output of the first (the source) is read only by the
    second (the sink): no operation outside the sink uses this output, a view of it or any other
    tensor in its storage. The weights of both may not be used by any other layer or operation.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[tuple[str, str]] = []
        self.spoiled: set[str] = set()
        self.calls: Counter[str] = Counter()
        self.sources: dict[int, str] = {}  # by the storage of their output
        self.owners: dict[int, set[str]] = {}  # layers, by the storage of their weights
        self.kept: dict[int, Tensor] = {}  # outputs by id; kept so that no storage or id is reused
        self.running: str | None = None  # the running layer, and the storage of its input
        self.input: int | None = None

    def watch(self, name: str, layer: nn.Module, is_source: bool) -> list[Any]:
        """Add hooks to a layer without submodules; return their handles."""
        for tensor in (*layer.parameters(), *layer.buffers()):
            if (memory := _memory(tensor)) is not None:
                self.owners.setdefault(memory, set()).add(name)

        def before(_: nn.Module, inputs: tuple[Any, ...]) -> None:
            self.running = name
            self.calls[name] += 1
            if not is_source:
                self._enter(name, inputs)

        def after(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            self.running = self.input = None
            if is_source:
                self._leave(name, output)

        return [layer.register_forward_pre_hook(before), layer.register_forward_hook(after)]

    def pairs(self, returned: Any) -> list[tuple[str, str]]:
        """Return the (source, sink) pairs that ran once and whose tensors nothing else uses.

        Args:
            returned: The output of the pass, which the caller reads.
        """
        self._touch(tree_leaves(returned))
        return [
            pair for pair in self.found
            if not self.spoiled & set(pair) and all(self.calls[name] == 1 for name in pair)
        ]  # fmt: skip

    def _enter(self, sink: str, inputs: tuple[Any, ...]) -> None:
        if len(inputs) != 1 or id(inputs[0]) not in self.kept:
            return
        memory = _memory(inputs[0])
        assert memory is not None
        self.input = memory
        self.found.append((self.sources[memory], sink))

    def _leave(self, source: str, output: Any) -> None:
        memory = _memory(output)
        if memory is None or memory in self.sources:
            self.spoiled.add(source)
            return
        self.sources[memory] = source
        self.kept[id(output)] = output

    def _touch(self, leaves: Iterable[Any]) -> None:
        """Record that an operation uses these values."""
        for memory in {_memory(leaf) for leaf in leaves}:
            if memory in self.sources and memory != self.input:
                self.spoiled.add(self.sources[memory])
            owners = self.owners.get(memory, set()) if memory is not None else set()
            if owners and self.running not in owners:
                self.spoiled |= owners

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run an operation and record the storage that it uses."""
        self._touch(tree_leaves((args, kwargs)))
        return func(*args, **(kwargs or {}))


def _memory(value: Any) -> int | None:
    """Return an identifier of the storage of a tensor, None if there is none."""
    if not isinstance(value, Tensor):
        return None
    try:
        return int(value.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):  # sparse and other tensors without a storage
        return None
