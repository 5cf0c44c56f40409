"""``--plan`` of studies, in real processes."""

import re

import pytest
from plan_output import files_in, rows_of


@pytest.mark.slow
def test_part_of_a_study(shiftbench_command, tmp_path):
    """The grid ``depth`` alone has ``model.depth=12,16``; it starts a sweep by itself."""
    done = shiftbench_command(
        "experiment=smoke", "model.depth=12", "pool=max", "head=gap", "augment=none",
        "padding=circular", "data.size=32", "--plan", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert files_in(tmp_path) == []
    jobs = int(re.match(r"(\d+) jobs?:", done.stdout).group(1))
    assert rows_of(done.stdout)["translate"][:2] == (jobs, jobs * 24 * 25)


@pytest.mark.slow
@pytest.mark.timeout(900)  # 49 networks are built and timed
def test_a_whole_study(shiftbench_command, tmp_path):
    study = ("experiment=smoke", "scale=smoke")
    done = shiftbench_command(*study, "--plan", cwd=tmp_path, timeout=900)
    assert done.returncode == 0, done.stderr
    assert files_in(tmp_path) == []
    # pools 16, depth 2, sizes 3, filters 4, resnet 2, borders 4, exact 6, linear 4, biased 8
    assert "49 jobs: 0 done before, 49 to run" in done.stdout
    rows = rows_of(done.stdout)
    assert rows["translate"][:2] == (49, 49 * 24 * 25)  # 24 images, up to two pixels
    assert rows["camera"][:2] == (8, 8 * 24 * 81)
