"""Groups of downsampling steps that must share a sampling grid, since branches merge."""

from __future__ import annotations

from collections.abc import Iterable

from torch.utils.weak import WeakTensorKeyDictionary

from shiftbench.surgery.watching import Call

History = tuple[str, ...]


class Grids:
    """Steps that each image passes on the way to a tensor, and alternatives among them.

    Attributes:
        conflict: Two steps, each the first of a branch, whose branches merge after unequal numbers
            of steps; "" without such a pair.
    """

    def __init__(self) -> None:
        self.conflict = ("", "")
        self._same: dict[str, str] = {}
        self._histories: WeakTensorKeyDictionary = WeakTensorKeyDictionary()

    def see(self, call: Call, step: str = "") -> None:
        """Follow a call; ``step`` is its name if it subsamples."""
        results = call.written()
        if not call.function and any(tensor in self._histories for tensor in results):
            return  # already recorded by the functions in the module
        history: History = ()
        for tensor in call.inputs():
            history = self._meet(history, self._histories.get(tensor, ()))
        if step:
            self._same.setdefault(step, step)
            history = (*history, step)
        for tensor in results:
            self._histories[tensor] = history

    def groups(self, names: Iterable[str]) -> list[list[str]]:
        """Return the steps ``names`` by grid: the branches of each list are merged in one map.

        Steps that are not among ``names`` are added if they share a grid with one of them.
        """
        groups: dict[str, list[str]] = {}
        wanted = list(names)
        for name in (*wanted, *(step for step in self._same if step not in wanted)):
            groups.setdefault(self._of(name), []).append(name)
        return [group for group in groups.values() if set(group) & set(wanted)]

    def _of(self, name: str) -> str:
        while self._same.setdefault(name, name) != name:
            name = self._same[name]
        return name

    def _meet(self, one: History, other: History) -> History:
        """Return the steps behind a point where two branches are merged."""
        pairs = list(zip(one, other, strict=False))
        parted = next(
            (i for i, (a, b) in enumerate(pairs) if self._of(a) != self._of(b)), len(pairs)
        )
        ahead, behind = one[parted:], other[parted:]
        if not ahead or not behind:  # a gate, or the size of an early map
            return max(one, other, key=len)
        if len(ahead) != len(behind):
            self.conflict = self.conflict if any(self.conflict) else (ahead[0], behind[0])
            return max(one, other, key=len)
        for a, b in zip(ahead, behind, strict=True):
            self._same[self._of(b)] = self._of(a)
        return one
