"""Labels as short as a study lets them be: what they all have in common is told once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from shiftbench.report.records import LABELS
from shiftbench.settings.labels import parts_of

GROUPS = tuple(name for name in LABELS if name != "experiment")


@dataclass(frozen=True)
class ShortLabels:
    """The short form of a study's labels.

    Attributes:
        forms: ``{"data": {"shapes[size=16,hard=true]": "shapes[hard=true]"}}``, of the labels that
            have another one.
        left_out: The settings that the short forms no longer tell, ``data.size=16``.
    """

    forms: Mapping[str, Mapping[str, str]]
    left_out: tuple[str, ...]

    @classmethod
    def of(cls, table: pd.DataFrame) -> ShortLabels:
        """Return the short forms for a table with columns of labels."""
        forms, left_out = {}, []
        for group in (name for name in GROUPS if name in table):
            forms[group], settings = _shortened(dict.fromkeys(table[group].dropna().astype(str)))
            left_out += [f"{group}.{setting}" for setting in settings]
        return cls(forms, tuple(left_out))

    def on(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return ``table`` with the short forms in it."""
        short = {group: table[group].replace(dict(forms)) for group, forms in self.forms.items()
                 if forms}  # fmt: skip
        return table.assign(**short)


def _shortened(labels: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Return the short forms of a group's labels and the settings that they leave out.

    >>> _shortened(["shapes[size=16]", "shapes[size=16,hard=true]"])
    ({'shapes[size=16]': 'shapes', 'shapes[size=16,hard=true]': 'shapes[hard=true]'}, ['size=16'])
    >>> _shortened(["vgg[width=4]", "resnet"])
    ({}, [])
    """
    parts = {label: parts_of(label) for label in labels if label}
    if len(parts) < 2:
        return {}, []
    _, first = next(iter(parts.values()))
    common = [one for one in first if all(one in settings for _, settings in parts.values())]
    forms = {}
    for label, (option, settings) in parts.items() if common else ():
        own = [one for one in settings if one not in common]
        forms[label] = f"{option}[{','.join(own)}]" if own else option
    return forms, common
