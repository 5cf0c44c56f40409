"""The commit in a run's provenance: of a checkout, and of a wheel without git."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from shiftbench.runs.commit import of_checkout, recorded

CHECKOUT = Path(__file__).parents[2]
AUTHOR = ("-c", "user.name=a", "-c", "user.email=a@b")


def git(*arguments, cwd):
    done = subprocess.run(
        ["git", *AUTHOR, *arguments], cwd=cwd, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "file").write_text("first")
    git("init", "--quiet", cwd=folder)
    git("add", "file", cwd=folder)
    git("commit", "--quiet", "-m", "first", cwd=folder)
    return folder


def test_a_checkout_has_its_commit_and_says_whether_it_was_edited(repository):
    commit = git("rev-parse", "--short=12", "HEAD", cwd=repository)
    assert of_checkout(repository) == commit
    (repository / "file").write_text("second")
    assert of_checkout(repository) == f"{commit}-dirty"


def test_a_folder_within_another_repository_is_no_checkout(repository):
    (repository / "site").mkdir()
    assert of_checkout(repository / "site") is None


def test_a_checkout_without_git_has_no_commit(repository, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert of_checkout(repository) is None


def test_what_was_recorded_is_read(tmp_path):
    assert recorded(tmp_path) is None
    (tmp_path / "shiftbench").mkdir()
    (tmp_path / "shiftbench" / "commit.txt").write_text("0123456789ab\n")
    assert recorded(tmp_path) == "0123456789ab"


def build(target, source, folder):
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=source, capture_output=True, text=True, check=True)
    [built] = folder.iterdir()
    return built


def commit_of(wheel, site):
    """The commit that the unpacked wheel finds, outside any checkout and without git."""
    zipfile.ZipFile(wheel).extractall(site)
    code = (
        "from shiftbench.runs import provenance as p; print(p.__file__, p.provenance()['commit'])"
    )
    variables = {**os.environ, "PYTHONPATH": str(site), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=site, env=variables, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    path, found = done.stdout.split()
    assert Path(path).is_relative_to(site)
    return found


@pytest.mark.slow
def test_a_wheel_names_the_commit_that_it_was_built_from(tmp_path):
    pytest.importorskip("hatchling")
    if (expected := of_checkout(CHECKOUT)) is None:
        pytest.skip("these tests do not run in a checkout")
    wheel = build("wheel", CHECKOUT, tmp_path / "wheel")
    assert commit_of(wheel, tmp_path / "site") == expected
    source = build("sdist", CHECKOUT, tmp_path / "sdist")
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    [unpacked] = (tmp_path / "unpacked").iterdir()
    again = build("wheel", unpacked, tmp_path / "wheel-of-sdist")
    assert commit_of(again, tmp_path / "second-site") == expected
    assert not (CHECKOUT / "shiftbench" / "commit.txt").exists()
