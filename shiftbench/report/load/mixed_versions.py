"""Check that the runs of a report were computed by one version of the package; no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from shiftbench.report.load.records import RunRecord
from shiftbench.runs import results_versions

NAMED = 4


def version_notes(runs: Sequence[RunRecord]) -> list[str]:
    """Return a sentence for each part with several results versions among the finished ``runs``.

    If all runs have the same version of a part but an older one, a sentence says so.
    """
    parts = dict.fromkeys(
        [*results_versions.CURRENT, *(part for run in runs for part in run.results)]
    )
    notes = []
    for part in parts:
        made = Counter(
            run.results.get(part, results_versions.FIRST)
            for run in runs
            if results_versions.makes(part, run.settings)
        )
        counted = ", ".join(f"{made[number]} with {number}" for number in sorted(made))
        latest = results_versions.CURRENT.get(part, results_versions.FIRST)
        if len(made) > 1:
            notes.append(
                f"these tables mix results versions of {part}: {counted} (now {latest}); "
                f"{_remedy(part)}"
            )
        elif made and list(made) != [latest]:
            notes.append(
                f"all runs have an older results version of {part}: {counted}, now {latest}; "
                f"{_remedy(part)}"
            )
    return notes


def release_notes(runs: Sequence[RunRecord]) -> list[str]:
    """Return a sentence if several releases or commits of shiftbench made the finished ``runs``.

    Runs without provenance do not count. At most ``NAMED`` makers are named, most runs first.
    """
    made = Counter(_maker(run) for run in runs if run.versions.get("shiftbench"))
    if len(made) < 2:
        return []
    first = made.most_common(NAMED)
    named = [f"{count} by {maker}" for maker, count in first]
    if rest := made.total() - sum(count for _, count in first):
        named.append(f"{rest} by {len(made) - len(first)} more")
    return [f"different versions of shiftbench made the runs of these tables: {', '.join(named)}"]


def _maker(run: RunRecord) -> str:
    release = run.versions["shiftbench"]
    return f"{release} ({run.commit})" if run.commit else f"{release} (commit not recorded)"


def _remedy(part: str) -> str:
    if part in results_versions.FROM_TABLES:
        return "shiftbench report --remeasure brings older ones up to date"
    return "force=true runs the older ones again"
