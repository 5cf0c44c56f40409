"""Names of the configurations of a leaderboard: the pool, and the settings that differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from shiftbench.report.tables.labels import GROUPS, ShortLabels, distinguished, text_of
from shiftbench.settings.labels import parts_of

FIRST = ("pool", "model")


@dataclass(frozen=True)
class LeaderboardLabels:
    """The names of configurations, and what they have in common.

    Attributes:
        names: By ``config_id``, e.g. ``max · match_macs=lps``. A setting that more than half of
            the configurations share is left out where it has this value.
        settings: The same without the pool.
        equal: The labels and settings that all share, then those that are left out.
    """

    names: Mapping[str, str]
    settings: Mapping[str, tuple[str, ...]]
    equal: str

    @classmethod
    def of(cls, rows: pd.DataFrame) -> LeaderboardLabels:
        """Return the names for rows of a summary, one for each configuration of a leaderboard."""
        short = ShortLabels.of(rows)
        frame = short.on(rows)
        identity = text_of(frame["config_id"])
        tokens = dict(zip(identity, map(_tokens, frame.to_dict("records")), strict=True))
        every = Counter(token for own in tokens.values() for token in dict.fromkeys(own))
        usual = {token for token, count in every.items() if 2 * count > len(tokens)}
        shown = {
            name: tuple(token for token in own if token not in usual)
            for name, own in tokens.items()
        }
        pools = dict(zip(identity, text_of(frame["pool"]), strict=True))
        texts = pd.Series([" · ".join([pools[name], *shown[name]]) for name in identity],
                          index=rows.index, dtype=object)  # fmt: skip
        names = dict(zip(identity, distinguished(texts, identity), strict=True))
        common = {token for token in usual if every[token] == len(tokens)}
        equal = [*_same(rows), *short.left_out, *_ordered(common, every)]
        if rest := _ordered(usual - common, every):
            equal.append(f"unless stated: {', '.join(rest)}")
        return cls(names, shown, " · ".join(equal))


def _ordered(tokens: Iterable[str], every: Iterable[str]) -> list[str]:
    chosen = set(tokens)
    return [token for token in every if token in chosen]


def _same(rows: pd.DataFrame) -> list[str]:
    """Return the labels that define the leaderboard."""
    return [f"{name}={text_of(rows[name]).iloc[0]}" for name in ("data", "augment", "train")]


def _tokens(row: Mapping[object, object]) -> list[str]:
    """Return what a configuration's name may state besides the pool."""
    option, own = parts_of(str(row["model"]))
    rest = [name for name in GROUPS if name not in ("data", "augment", "train", *FIRST)]
    labels = [f"{name}={row[name]}" for name in rest if row.get(name)]
    return [f"model={option}", *own, *labels, *map(_plain, str(row["settings"] or "").split())]


def _plain(setting: str) -> str:
    """Return a setting as it is typed: a class stands for the option of its group.

    >>> _plain("infer._target_=phases.Phases"), _plain("activation.factor=2")
    ('infer=phases', 'activation.factor=2')
    """
    key, _, value = setting.partition("=")
    if not key.endswith("._target_"):
        return setting
    return f"{key.removesuffix('._target_')}={value.rpartition('.')[0].rpartition('.')[2] or value}"
