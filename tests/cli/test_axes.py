"""Runs whose protocols have other axes than (dy, dx), from the command line to the report."""

import pandas as pd
import pytest

from shiftbench.storage.result_files import METRIC_COLUMNS

PROTOCOLS = ("translate", "rotate", "rotate_translate", "zoom", "resolution")


@pytest.mark.slow
def test_angles_and_factors_reach_the_files_the_tables_and_the_page(
    tmp_path, shiftbench_command, tiny
):
    kept = [word for word in tiny if not word.startswith(("shift", "figures"))]
    done = shiftbench_command(
        *kept, f"shift=[{','.join(PROTOCOLS)}]", "shift.translate.max_shift=1", "head=gap",
        "shift.rotate.step=45", "shift.rotate_translate.sampling.draws=4",
        "shift.resolution.back=false", "figures=true", "out=out", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "steps of 45°" in done.stdout
    [run] = (tmp_path / "out" / "runs").iterdir()
    metrics = pd.read_csv(run / "metrics.csv")
    assert list(metrics.columns) == [*METRIC_COLUMNS, "step"]
    steps = metrics.groupby("protocol")["step"].unique().str.join("")
    assert steps.to_dict() == {
        "translate": "1 px", "rotate": "45°", "rotate_translate": "2°",
        "zoom": "1 px of the window", "resolution": "1 px of the resolution",
    }  # fmt: skip
    shifts = pd.read_csv(run / "shifts.csv")
    axes = {
        name: [axis for axis in ("dy", "dx", "angle", "zoom", "resolution") if part[axis].any()]
        for name, part in shifts.fillna(0).groupby("protocol")
    }
    assert axes == {
        "translate": ["dy", "dx"], "rotate": ["angle"], "zoom": ["zoom"],
        "rotate_translate": ["dy", "dx", "angle"], "resolution": ["resolution"],
    }  # fmt: skip
    assert set(pd.read_csv(run / "radius.csv")["protocol"]) == {"translate"}
    figures = {path.name for path in (run / "figures").iterdir()}
    assert {f"{name}.png" for name in PROTOCOLS} | {"rotate_translate_angle.png"} <= figures
    report = shiftbench_command("report", "out", cwd=tmp_path)
    assert report.returncode == 0, report.stderr
    assert "one step: 45°" in report.stdout
    drawn = {path.name for path in (tmp_path / "out").rglob("axis-*.png")}
    assert drawn == {"axis-rotate.png", "axis-zoom.png", "axis-resolution.png"}
    again = shiftbench_command("report", "out", "--remeasure", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    pd.testing.assert_frame_equal(pd.read_csv(run / "metrics.csv"), metrics)
