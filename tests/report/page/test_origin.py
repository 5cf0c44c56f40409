"""The facts about the origin of a page's numbers, from provenance of any release."""

import json

import pytest

from shiftbench.report.load.collect import collect
from shiftbench.report.page.origin import origins

GPU = {
    "commit": "abc",
    "machine": {"system": "Linux"},
    "device": {"device": "cuda:0", "threads": 8, "GPU": "NVIDIA H100", "driver": "580.95.05"},
    "training": {"precision": "bf16", "TF32": True},
    "measuring": {"precision": "fp32", "TF32": False},
}


@pytest.fixture
def facts_of(make_run, tmp_path):
    """Return a function: the distinct facts of runs with these contents in their provenance."""

    def facts(*contents):
        for seed, content in enumerate(contents):
            (make_run(seed=seed) / "provenance.json").write_text(json.dumps(content))
        return [dict(origin.facts) for origin in origins(collect([tmp_path]))[0]]

    return facts


def test_device_and_precision_are_named(facts_of):
    assert facts_of(GPU) == [{
        "commit": "abc", "system": "Linux", "device": "cuda:0", "threads": "8",
        "GPU": "NVIDIA H100", "driver": "580.95.05", "precision of training": "bf16, TF32",
        "precision of measuring": "fp32",
    }]  # fmt: skip


def test_another_number_of_threads_is_another_origin(facts_of):
    cpu = [{**GPU, "device": {"device": "cpu", "threads": threads}} for threads in (1, 2, 2)]
    assert [facts["threads"] for facts in facts_of(*cpu)] == ["1", "2"]


def test_provenance_of_earlier_releases_is_read(facts_of):
    assert facts_of({"commit": None, "machine": "Linux"}) == [{"machine": "Linux"}]
