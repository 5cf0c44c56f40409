"""What ``shiftbench compare`` prints and writes, read back; and results that are replaced."""

import hashlib
import json

import pandas as pd


def assert_sentence(done, code, part):
    assert done.returncode == code, done.stderr
    [line] = done.stderr.strip().splitlines()
    assert line.startswith("shiftbench: ")
    assert part in line


def replace_results(run, text):
    """Give a run other numbers, as if it had written them."""
    (run / "metrics.csv").write_text(text)
    status = json.loads((run / "status.json").read_text())
    status["files"]["metrics.csv"] = hashlib.sha256(text.encode()).hexdigest()
    (run / "status.json").write_text(json.dumps(status))


def compared(shiftbench_command, folder, *arguments):
    """Rows of a comparison by protocol and metric, and what was printed."""
    path = folder / "rows.csv"
    done = shiftbench_command("compare", *map(str, arguments), "--csv", str(path), cwd=folder)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        assert len(line) <= 80 or line.startswith(("A  ", "B  "))
    frame = pd.read_csv(path).set_index(["protocol", "metric"])
    return frame, " ".join(done.stdout.split())
