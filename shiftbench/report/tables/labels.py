"""Names of configurations in tables and figures.

Labels name the option of each group. Settings that vary without being in a label are listed beside
it (:func:`unlabelled_settings`), settings that all labels of a study share are stated once
(:class:`ShortLabels`), and a row shows only the labels that vary (:func:`labels`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from shiftbench.report.load.records import LABELS, RunRecord, WaitingJob
from shiftbench.settings.labels import parts_of

GROUPS = tuple(name for name in LABELS if name != "experiment")
"""Without the experiment, whose settings are recorded anyway; several may share a run."""
NAMED_BY = (*GROUPS, "settings")
"""The columns of a summary that distinguish configurations."""


def varying(summary: pd.DataFrame) -> list[str]:
    """Return the columns of :data:`NAMED_BY` in which the configurations differ, in order.

    Of a job without a run only the overrides are known; its empty labels count as no difference.
    """
    known = text_of(summary["config_id"]) != ""
    found = []
    for name in (name for name in NAMED_BY if name in summary.columns):
        values = text_of(summary[name])
        if values[known | (values != "")].nunique() > 1:
            found.append(name)
    if not known.all() and "settings" not in found and (text_of(summary["settings"]) != "").any():
        found.append("settings")
    return found


def shared(rows: pd.DataFrame, but: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the other labels and their values; more than one value if some rows are empty.

    Args:
        rows: Rows of a summary.
        but: The labels that vary.
    """
    for name in (name for name in NAMED_BY if name not in but):
        if values := [value for value in dict.fromkeys(text_of(rows[name])) if value]:
            yield name, values


def labels(summary: pd.DataFrame, leave_out: Sequence[str] = ()) -> pd.Series[str]:
    """Return a label that distinguishes the configuration of each row, e.g. ``blur · crop``.

    >>> frame = pd.DataFrame({"pool": ["max", "blur"], "head": "gap", "config_id": ["a", "b"]})
    >>> labels(frame).tolist()
    ['max', 'blur']
    """
    names = [name for name in varying(summary) if name not in leave_out]
    if not names:
        names = ["pool"] if "pool" not in leave_out else ["model"]
    # Labels omit fixed settings and empty values (the defaults).
    parts = [text_of(summary[name]) for name in names if name in summary.columns]
    texts = [" · ".join(part for part in row if part) for row in zip(*parts, strict=True)]
    found = pd.Series([text or "as given" for text in texts], index=summary.index, dtype=object)
    return found if leave_out else distinguished(found, text_of(summary["config_id"]))


def panel_labels(summary: pd.DataFrame) -> pd.Series[str]:
    """Return a label that distinguishes the configuration of each row from others on its data.

    The title of each panel states its data set.
    """
    found = labels(summary, leave_out=("data",))
    for _, part in found.groupby(text_of(summary["data"])):
        identity = text_of(summary.loc[part.index, "config_id"])
        found.loc[part.index] = distinguished(part, identity)
    return found


def text_of(values: pd.Series[Any]) -> pd.Series[str]:
    """Return a column as text, '' for missing values."""
    return values.astype(object).where(values.notna(), "").astype(str)


def distinguished(found: pd.Series[str], identity: pd.Series[str]) -> pd.Series[str]:
    """Append the beginning of the configuration's hash if two have the same label."""
    shared = identity.groupby(found).transform("nunique") > 1
    return found.where(~shared, found + " · " + identity.str[:4])


@dataclass(frozen=True)
class ShortLabels:
    """The short form of a study's labels.

    Attributes:
        forms: ``{"data": {"shapes[size=16,hard=true]": "shapes[hard=true]"}}``, for labels whose
            short form differs.
        left_out: The settings that the short forms omit, e.g. ``data.size=16``.
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
        """Return ``table`` with its labels in the short form."""
        short = {group: table[group].replace(dict(forms)) for group, forms in self.forms.items()
                 if forms}  # fmt: skip
        return table.assign(**short)


def _shortened(labels: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Return the short forms of a group's labels and the settings that they omit.

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


def unlabelled_settings(runs: Mapping[str, RunRecord]) -> dict[str, str]:
    """Return for every configuration the settings that vary without being in a label.

    ``shift.circular.steps=2 measure.resamples=100``; '' if the labels are complete. A setting
    that only some configurations have (those of one pool) varies if it differs among these.

    Args:
        runs: A run of every configuration, by its ``config_id``.
    """
    values: dict[str, dict[str, str]] = {}
    for config_id, run in runs.items():
        for key, value in _with_choices(run.settings).items():
            if key != "seed":
                values.setdefault(key, {})[config_id] = _short(value)
    shown = [key for key, found in values.items() if len(set(found.values())) > 1]
    shown = [key for key in sorted(shown) if not _is_labelled(key, values[key], runs)]
    stated = {
        config_id: " ".join(f"{key}={values[key][config_id]}" for key in shown
                            if config_id in values[key])
        for config_id in runs
    }  # fmt: skip
    return _with_protocols(stated, runs)


def _with_choices(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings completed by the defaults of groups that older runs do not mention."""
    named = {key.split(".")[1] for key in settings if key.startswith("metric.")}
    metrics = sorted(named, key=lambda name: (name != "standard", name))
    chosen = {"metric": ",".join(metrics) or "standard", "optimizer._target_": "sgd.Sgd",
              "measure.precision": settings.get("precision", "fp32"),
              "infer._target_": "single.Single", "activation._target_": "relu.ReLU"}  # fmt: skip
    return {**chosen, **settings}


def _is_labelled(key: str, values: Mapping[str, str], runs: Mapping[str, RunRecord]) -> bool:
    """Whether the label of the setting's group determines its value.

    The label ``precision`` does so for runs of earlier releases, which measured as they trained.
    """
    label = "precision" if key == "measure.precision" else key.partition(".")[0]
    if label not in LABELS:
        return False
    by_label: dict[str, set[str]] = {}
    for config_id, value in values.items():
        by_label.setdefault(str(runs[config_id].labels[label]), set()).add(value)
    return all(len(found) == 1 for found in by_label.values())


def _with_protocols(stated: dict[str, str], runs: Mapping[str, RunRecord]) -> dict[str, str]:
    """Append the measured protocols if nothing else distinguishes two configurations."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for config_id, run in runs.items():
        labels = tuple(str(run.labels[name]) for name in LABELS)
        alike.setdefault((*labels, stated[config_id]), []).append(config_id)
    for config_ids in alike.values():
        if len(config_ids) > 1:
            for config_id in config_ids:
                protocols = ",".join(protocols_of(runs[config_id].settings))
                stated[config_id] = f"{stated[config_id]} shift={protocols}".strip()
    return stated


def protocols_of(settings: Mapping[str, Any]) -> list[str]:
    """Return the names of the protocols among a run's settings.

    >>> protocols_of({"shift.circular.steps": 2, "shift.circular.path": "diagonal", "seed": 0})
    ['circular']
    """
    return list(dict.fromkeys(k.split(".")[1] for k in settings if k.startswith("shift.")))


def _short(value: object) -> str:
    text = str(value).replace(" ", "")
    # Abbreviate a checkpoint's digest to the length of the hashes in run names.
    return text[:15] if text.startswith("sha256:") else text


def labels_of_job(job: WaitingJob) -> tuple[dict[str, str], str]:
    """Return the labels and the settings of a job of which only the overrides are known.

    ``pool=blur`` is a label; other overrides, e.g. ``pool.filter_size=5``, are settings.
    """
    named = dict.fromkeys(LABELS, "")
    settings = []
    for item in job.distinguishing:
        key, _, value = item.partition("=")
        if key in named:
            named[key] = value
        else:
            settings.append(item)
    if not any(named.values()) and not settings:
        settings = [item for item in job.overrides if not item.startswith("seed=")]
    return named, " ".join(settings)
