"""Output to streams that are not UTF-8, through real processes."""

import os
import subprocess
import sys

import pytest

from shiftbench.runtime.streams import plain

FINISHED_RUN = ("data.train_images=40", "data.test_images=12", "measure.layers=false",
                "figures=false", "shift=translate", "shift.translate.max_shift=1",
                "measure.resamples=5", "data.size=16", "model.width=4", "train.epochs=1",
                "model.downsamplings=2")  # fmt: skip
PLAIN_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
ENVIRONMENTS = {
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "LC_ALL=C": PLAIN_LOCALE,
}


def run(*arguments, cwd, env):
    return subprocess.run(
        [sys.executable, "-m", "shiftbench", *arguments],
        cwd=cwd, env={**os.environ, **env}, capture_output=True, timeout=200,
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streams")
    for seed in (0, 1):
        done = run(*FINISHED_RUN, f"seed={seed}", cwd=folder, env=ENVIRONMENTS["ascii"])
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("env", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((*FINISHED_RUN, "seed=0"), 0, "consistency"),
        (("-m", *FINISHED_RUN, "seed=0,1"), 0, "translate"),
        (("report", "outputs"), 0, "summary.csv"),
        (("report", "outputs", "--markdown"), 0, "| max"),
        (("list", "shift"), 0, "azulay2019_crop"),
        (("--help",), 0, "shiftbench model=vgg"),
        (("--cfg", "job"), 0, "padding: zeros"),
        (("pool=größer",), 2, "shiftbench: 'pool=gr"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_no_verb_minds_the_encoding_of_its_output(finished, env, arguments, code, said):
    done = run(*arguments, cwd=finished, env=env)
    output = (done.stdout + done.stderr).decode("latin-1")
    assert "Traceback" not in output
    assert done.returncode == code, output
    assert said in output
    if env.get("PYTHONIOENCODING") != "cp1252":
        assert output.isascii()


@pytest.mark.slow
def test_compare_and_a_new_run_in_plain_locale(finished):
    runs = [path.name for path in sorted((finished / "outputs" / "runs").iterdir())]
    done = run("compare", *runs, cwd=finished, env=PLAIN_LOCALE)
    assert done.returncode == 0, done.stderr
    done = run(*FINISHED_RUN, "seed=2", "out=other", cwd=finished, env=PLAIN_LOCALE)
    assert done.returncode == 0, done.stderr
    [log] = finished.glob("other/runs/*/run.log")
    assert "×" in log.read_text("utf-8")  # files are UTF-8 whatever the streams are


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_stream_swallows_what_it_is_given(finished, closed):
    command = f"{sys.executable} -m shiftbench list pool {closed}"
    assert subprocess.run(command, shell=True, cwd=finished, timeout=100).returncode == 0


def test_every_character_has_a_spelling_in_ascii():
    for character in "↑↓→×·…−±≤²½é┏━┓╇│⠋漢\ud8ff🙂":
        assert plain(character).isascii()
        assert plain(character)


MESSAGES = (
    "import sys\nfrom shiftbench.runtime.streams import adapt_streams\n"
    "adapt_streams()\nadapt_streams()\n"
    "for _ in range(3):\n    print('a message', file=sys.stderr, flush=True)\n"
    "from shiftbench.report.progress import console\nconsole.print('another')\n"
    "print('numbers')\n"
)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")  # noqa: PTH110
def test_messages_that_find_no_room_do_not_end_a_run():
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run([sys.executable, "-c", MESSAGES], stdout=subprocess.PIPE, stderr=full)
    assert (done.returncode, done.stdout.split()) == (0, [b"numbers"])


def test_messages_that_nobody_reads_do_not_end_a_run():
    """As of ``shiftbench 2>&1 | head -1``."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", MESSAGES], stdout=subprocess.PIPE, stderr=writer)
    os.close(writer)
    assert (done.returncode, done.stdout.split()) == (0, [b"numbers"])


def test_messages_arrive():
    done = subprocess.run([sys.executable, "-c", MESSAGES], capture_output=True)
    assert done.stderr.split() == [*[b"a", b"message"] * 3, b"another"]
