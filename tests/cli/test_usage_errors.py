"""Settings and folders that are refused: one sentence, and exit code 2."""

import os

import pytest

USAGE_ERRORS = [
    (["pool=blurr"], "did you mean 'blur'"),
    (["lrr=1"], "did you mean 'train.lr'"),
    (["pool=blur", "pool.filtr_size=3"], "did you mean 'pool.filter_size'"),
    (["mdoel=vgg"], "did you mean 'model'"),
    (["shift=[circlar]"], "did you mean 'circular'"),
    (["blur"], "neither a verb nor key=value"),
    (["lst"], "did you mean 'list'"),
    (["train.lr=abc"], "takes a number"),
    (["seed=1.5"], "takes a whole number"),
    (["seed=-1"], "out of range"),
    (["train.lr=inf"], "out of range"),
    (["padding=zero"], "did you mean 'zeros'"),
    (["pool=max,blur"], "add -m"),
    (["pool="], "pool="),
    (["list", "pol"], "did you mean 'pool'"),
    (["list", "pool", "head"], "list takes one group"),
    (["checkpoint=nope.pt"], "cannot be read"),
    (["device=cuda:99"], "device=cuda:99"),
    (["pool=global", "head=flatten"], "head=gap"),
    (["model.depth=7"], "8 to 16"),
    (["shift.translate.max_shift=99"], "allowed: 1 to"),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    USAGE_ERRORS,
    ids=lambda a: " ".join(a) if isinstance(a, list) else "",
)
def test_a_usage_error_is_one_sentence_and_exit_2(
    tmp_path, shiftbench_command, arguments, sentence
):
    small = ["data.train_images=40", "data.test_images=10"] if "list" not in arguments else []
    done = shiftbench_command(*arguments, *(small if len(arguments[0]) > 4 else []), cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("shiftbench: ")
    assert sentence in last
    assert "Traceback" not in done.stderr
    assert "HYDRA_FULL_ERROR" not in done.stderr


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_output_folder_is_named(tmp_path, shiftbench_command, tiny):
    (tmp_path / "locked").mkdir(mode=0o500)
    done = shiftbench_command(*tiny, "out=locked", cwd=tmp_path)
    assert done.returncode == 2
    assert "cannot write to locked" in done.stderr


def test_an_output_folder_that_is_a_file_is_named(tmp_path, shiftbench_command, tiny):
    (tmp_path / "file").write_text("mine")
    done = shiftbench_command(*tiny, "out=file", cwd=tmp_path)
    assert done.returncode == 2
    assert "cannot write to file" in done.stderr
    assert "out=PATH" in done.stderr
    assert (tmp_path / "file").read_text() == "mine"
