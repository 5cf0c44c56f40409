"""What a hostile command line did, and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hostile import Case

LONGEST = 1200  # characters of a sentence


# What a sentence of ours never contains: internals of Python, Hydra and OmegaConf.
INTERNALS = re.compile(
    r"Traceback|HYDRA_FULL_ERROR|full_key:|object_type|reference_type|Error executing|"
    r"traceback is in|\b[A-Z][A-Za-z]*(?:Error|Exception)\b(?!:? ?=)|not supported between|"
    r"unexpected keyword|positional argument|object has no attribute|ConfigKey|token recognition|"
    r"no viable alternative|mismatched input|ConfigNode|DictConfig|ListConfig"
)


@dataclass(frozen=True)
class Outcome:
    """What a command line did."""

    case: Case
    code: int | None
    out: str
    err: str
    seconds: float
    strays: tuple[str, ...]

    def problems(self) -> list[str]:
        """Return what is wrong with it, in a few words each."""
        if self.code is None:
            return [f"no end after {self.seconds:.0f} s"]
        found = [f"touches {stray}" for stray in self.strays]
        if self.code not in (0, 1, 2):
            found.append(f"exit code {self.code}")
        if "Traceback" in self.err + self.out:
            found.append("traceback")
        if self.code:
            found += self._sentence_problems()
        if self.case.kind == "target" and not self._is_refusal():
            found.append("a key of Hydra's instantiate was not refused")
        return found

    def _sentence_problems(self) -> Iterator[str]:
        last = (self.err.strip().splitlines() or [""])[-1]
        if not last.startswith("shiftbench: "):
            yield "no sentence at the end"
        if match := INTERNALS.search(last):
            yield f"internals in the sentence: {match.group()}"
        given = max(map(len, self.case.arguments), default=0)
        if len(last) > LONGEST + 2 * given:
            yield f"a sentence of {len(last)} characters"
        typed = {item.partition("=")[0].lstrip("+~") for item in self.case.arguments}
        for hint in re.findall(r"did you mean '([^']+)'", last):
            if hint in typed:
                yield "suggests what was typed"

    def _is_refusal(self) -> bool:
        words = ("belongs in a yaml file", "is not a setting", "cannot be read as")
        return self.code == 2 and any(word in self.err for word in words)
