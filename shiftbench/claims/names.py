"""What the networks of a claim are called: what tells them apart, in as few words as it takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from shiftbench.settings.labels import parts_of

NAMED_BY = ("data", "model", "pool", "head", "padding", "augment", "train", "precision")

Parts = Mapping[str, list[str]]


def names_of(labels: Sequence[Mapping[str, str]], free: Sequence[str] = ()) -> list[str]:
    """Return what tells each of several runs from the others.

    Args:
        labels: Those of every run, ``{"model": "vgg[depth=8,width=4]", "head": "gap"}``.
        free: Groups (``pool``) and settings (``model.depth``) that are left out.

    >>> gap = {"model": "vgg[depth=8,width=4]", "head": "gap"}
    >>> names_of([gap, gap | {"head": "flatten"}])
    ['gap', 'flatten']
    >>> names_of([gap, {"model": "vgg[depth=12,width=8]", "head": "gap"}], ["model.depth"])
    ['vgg[width=4]', 'vgg[width=8]']
    """
    parts = [_parts(one, free) for one in labels]
    return [" · ".join(_told(one, parts)) for one in parts]


def is_in(key: str, places: Iterable[str]) -> bool:
    """Whether a setting is one of the places or in one of them.

    >>> is_in("pool.filter_size", ["pool"]), is_in("pools", ["pool"])
    (True, False)
    """
    return any(key == place or key.startswith(f"{place}.") for place in places)


def _parts(labels: Mapping[str, str], free: Sequence[str]) -> Parts:
    """Return the option of every group and, after it, its settings: ``["vgg", "width=4"]``."""
    found = {}
    for group in NAMED_BY:
        option, settings = parts_of(labels.get(group, ""))
        kept = [one for one in settings if not is_in(f"{group}.{one.partition('=')[0]}", free)]
        if option and group not in free:
            found[group] = [option, *kept]
    return found


def _told(one: Parts, every: Sequence[Parts]) -> Iterator[str]:
    for group, (option, *settings) in one.items():
        others = [other.get(group, [""]) for other in every]
        own = [setting for setting in settings if not all(setting in other for other in others)]
        if own:
            yield f"{option}[{','.join(own)}]"
        elif any(other[0] != option for other in others):
            yield "unaugmented" if (group, option) == ("augment", "none") else option
