"""What tells two configurations apart that have the same labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shiftbench.report.records import LABELS, RunRecord, WaitingJob


def untold(runs: Mapping[str, RunRecord]) -> dict[str, str]:
    """Return, for every configuration, its settings that vary and that no label tells.

    ``shift.circular.steps=2 measure.resamples=100``; '' where the labels say everything. A setting
    that only some have (those of one pool) varies if it does among these.

    Args:
        runs: A run of every configuration, by its ``config_id``.
    """
    values: dict[str, dict[str, str]] = {}
    for config_id, run in runs.items():
        for key, value in _with_choices(run.settings).items():
            if key != "seed":
                values.setdefault(key, {})[config_id] = _text(value)
    shown = [key for key, found in values.items() if len(set(found.values())) > 1]
    shown = [key for key in sorted(shown) if not _is_told(key, values[key], runs)]
    told = {
        config_id: " ".join(f"{key}={values[key][config_id]}" for key in shown
                            if config_id in values[key])
        for config_id in runs
    }  # fmt: skip
    return _with_protocols(told, runs)


def _with_choices(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with what a run that does not mention a group has of it."""
    named = {key.split(".")[1] for key in settings if key.startswith("metric.")}
    metrics = sorted(named, key=lambda name: (name != "standard", name))
    chosen = {"metric": ",".join(metrics) or "standard", "optimizer._target_": "sgd.Sgd"}
    return {**chosen, **settings}


def _is_told(key: str, values: Mapping[str, str], runs: Mapping[str, RunRecord]) -> bool:
    """Whether the label of the setting's group says which value it has."""
    label = key.partition(".")[0]
    if label not in LABELS:
        return False
    by_label: dict[str, set[str]] = {}
    for config_id, value in values.items():
        by_label.setdefault(str(runs[config_id].labels[label]), set()).add(value)
    return all(len(found) == 1 for found in by_label.values())


def _with_protocols(told: dict[str, str], runs: Mapping[str, RunRecord]) -> dict[str, str]:
    """Add which protocols were measured where nothing else tells two configurations apart."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for config_id, run in runs.items():
        labels = tuple(str(run.labels[name]) for name in LABELS)
        alike.setdefault((*labels, told[config_id]), []).append(config_id)
    for config_ids in alike.values():
        if len(config_ids) > 1:
            for config_id in config_ids:
                protocols = ",".join(protocols_of(runs[config_id].settings))
                told[config_id] = f"{told[config_id]} shift={protocols}".strip()
    return told


def protocols_of(settings: Mapping[str, Any]) -> list[str]:
    """Return the names of the protocols among a run's settings.

    >>> protocols_of({"shift.circular.steps": 2, "shift.circular.path": "diagonal", "seed": 0})
    ['circular']
    """
    return list(dict.fromkeys(k.split(".")[1] for k in settings if k.startswith("shift.")))


def _text(value: object) -> str:
    text = str(value).replace(" ", "")
    # A checkpoint's digest, as short as the hashes in the names of runs.
    return text[:15] if text.startswith("sha256:") else text


def labels_of_job(job: WaitingJob) -> tuple[dict[str, str], str]:
    """Return the labels and the settings of a job that nothing but its overrides is known of.

    ``pool=blur`` is a label; what is no label, as ``pool.filter_size=5``, is a setting.
    """
    labels = dict.fromkeys(LABELS, "")
    settings = []
    for item in job.told:
        key, _, value = item.partition("=")
        if key in labels:
            labels[key] = value
        else:
            settings.append(item)
    if not any(labels.values()) and not settings:
        settings = [item for item in job.overrides if not item.startswith("seed=")]
    return labels, " ".join(settings)
