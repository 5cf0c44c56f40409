"""Which downsampling steps have to keep one sampling grid, since their maps meet again."""

from __future__ import annotations

import torch
from torch import nn

from shiftbench.errors import UsageError
from shiftbench.surgery import graph

History = tuple[str, ...]


class _Grids:
    """Steps of which each picture passes one or the other on its way to the same place."""

    def __init__(self, names: list[str]) -> None:
        self.same = {name: name for name in names}

    def of(self, name: str) -> str:
        while self.same[name] != name:
            name = self.same[name]
        return name

    def meet(self, one: History, other: History) -> History:
        """Return the steps behind a place where two branches come together."""
        pairs = list(zip(one, other, strict=False))
        parted = next((i for i, (a, b) in enumerate(pairs) if self.of(a) != self.of(b)), len(pairs))
        ahead, behind = one[parted:], other[parted:]
        if not ahead or not behind:  # the size of an early map, say
            return max(one, other, key=len)
        if len(ahead) != len(behind):
            raise UsageError(
                f"the branches through {ahead[0]} and {behind[0]} are subsampled in different "
                "steps, so they cannot share a grid that the content picks; allowed: "
                "pool=max, avg, stride, blur"
            )
        for a, b in zip(ahead, behind, strict=True):
            self.same[self.of(b)] = self.of(a)
        return one


def shared_grids(model: nn.Module, names: list[str]) -> list[list[str]]:
    """Return the steps ``names`` by grid: those of one list feed one map, in several branches.

    Raises:
        UsageError: If the network's graph cannot be traced, or its branches cannot share a grid.
    """
    whole = graph.trace(model)
    seen = {node.target for node in whole.nodes if node.op == "call_module"} if whole else set()
    if whole is None or not seen.issuperset(names):
        raise UsageError(
            "pool=aps needs to know which branches of the network meet again, and its graph "
            "cannot be traced; allowed: pool=max, avg, stride, blur"
        )
    grids = _Grids(names)
    histories: dict[torch.fx.Node, History] = {}
    for node in whole.nodes:
        history: History = ()
        for used in node.all_input_nodes:
            history = grids.meet(history, histories[used])
        if node.op == "call_module" and node.target in grids.same:
            history = (*history, str(node.target))
        histories[node] = history
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(grids.of(name), []).append(name)
    return list(groups.values())
