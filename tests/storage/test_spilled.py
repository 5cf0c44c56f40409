"""Arrays and tables too large for memory: the same content and the same results as in memory."""

import dataclasses
import logging

import numpy as np
import pytest
import torch

from shiftbench.errors import ShiftbenchError
from shiftbench.metric import METRICS, evaluate, metric, per_shift
from shiftbench.metric.base import Terms
from shiftbench.metric.influence import Influences
from shiftbench.metric.options import STANDARD
from shiftbench.predict.columns import Columns
from shiftbench.prediction_table import PredictionTable
from shiftbench.storage import spilled

N_IMAGES, N_SHIFTS = 60, 25
PER_IMAGE = ("top1", "p_top1", "p_base", "p_previous", "p_true", "rank_true", "logit_change")


@pytest.fixture
def tiny_memory(monkeypatch, tmp_path):
    """Spill every array and reduce tables in parts of four images."""
    monkeypatch.setenv("SHIFTBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(spilled, "LARGE", 1)
    monkeypatch.setattr("shiftbench.prediction_table.PART", 4 * N_SHIFTS)


def made_up(own_shifts=False):
    """A table with NaN answers, in memory."""
    rng = np.random.default_rng(3)
    shape = N_IMAGES, N_SHIFTS
    labels = rng.integers(0, 7, N_IMAGES).astype(np.int32)
    top1 = np.where(rng.random(shape) < 0.6, labels[:, None], rng.integers(-1, 7, shape))
    grid = np.stack(np.divmod(np.arange(N_SHIFTS), 5), axis=1).astype(np.float32)
    shifts = grid[rng.integers(0, N_SHIFTS, shape)] if own_shifts else grid
    previous = np.where(grid.min(axis=1) > 0, np.arange(N_SHIFTS) - 6, -1)
    # Over many powers of ten, so that the order in which they are added matters.
    floats = {
        name: (10.0 ** -rng.uniform(0, 12, shape)).astype(np.float32)
        for name in ("p_top1", "p_base", "p_previous", "p_true", "logit_change")
    }
    return PredictionTable(
        top1=top1.astype(np.int32), rank_true=rng.integers(0, 7, shape).astype(np.int32), **floats,
        logit_scale=rng.random(N_IMAGES).astype(np.float32), labels=labels, shifts=shifts,
        sampled=np.arange(N_SHIFTS) != 3, previous=previous.astype(np.int32),
        images=np.arange(N_IMAGES, dtype=np.uint64),
        meta={"num_classes": 7, "protocol": {"path": "horizontal"}, "logit_tolerance": 0.5},
    )  # fmt: skip


def spilled_copy(table):
    """The same table with its columns in files."""
    found = {}
    for name in PER_IMAGE:
        array = getattr(table, name)
        found[name] = spilled.empty(array.shape, array.dtype)
        found[name][...] = array
    return dataclasses.replace(table, **found)


def test_an_array_keeps_its_content_when_its_memory_is_released(tiny_memory):
    array = spilled.empty((1000, 3), np.int32)
    array[...] = np.arange(3000).reshape(1000, 3)
    assert spilled.is_spilled(array)
    assert spilled.is_spilled(array[5:7])
    spilled.release(array)
    np.testing.assert_array_equal(array.ravel(), np.arange(3000))


def test_small_arrays_stay_in_memory():
    assert not spilled.is_spilled(spilled.empty((1000, 3), np.int32))


def test_without_a_folder_arrays_stay_in_memory(tiny_memory, monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SHIFTBENCH_CACHE", str(tmp_path / "file" / "cache"))
    with caplog.at_level(logging.WARNING, "shiftbench"):
        array = spilled.empty((4, 2), np.float32)
    assert not spilled.is_spilled(array)
    assert "kept in memory" in caplog.text


@pytest.mark.parametrize("own_shifts", [False, True])
def test_every_result_of_a_spilled_table_has_the_same_bytes(tiny_memory, own_shifts):
    inside = made_up(own_shifts)
    outside = spilled_copy(inside)
    assert len(list(outside.parts())) == N_IMAGES // 4
    assert evaluate(inside, resamples=50) == evaluate(outside, resamples=50)
    for metric_of in METRICS.values():
        if metric_of.applies(inside):
            before, after = metric_of(inside), metric_of(outside)
            assert before.terms.tobytes() == after.terms.tobytes(), metric_of.name
            assert (before.n_images, before.n_shifts) == (after.n_images, after.n_shifts)
    assert per_shift(inside).to_csv() == per_shift(outside).to_csv()
    found = [Influences.from_tables({"p": table})._content() for table in (inside, outside)]
    assert found[0] == found[1]


def test_all_standard_metrics_but_two_are_reduced_in_parts():
    whole = {name for name in STANDARD if not METRICS[name].by_image}
    assert whole == {"chance_consistency", "peer_consistency"}


def test_a_metric_of_a_user_is_given_the_whole_table(tiny_memory, monkeypatch):
    seen = []

    def whole(table):
        """Look at the number of images."""
        seen.append(table.n_images)
        return Terms.mean(table.p_true[:, 0], 1)

    monkeypatch.setattr("shiftbench.metric.base.METRICS", {})
    metric("whole", higher_is_better=True)(whole)
    from shiftbench.metric.base import METRICS as OWN

    outside = spilled_copy(made_up())
    OWN["whole"](outside)
    assert seen == [N_IMAGES]


def test_a_spilled_table_is_the_same_file_and_is_read_back_in_parts(tiny_memory, tmp_path):
    inside = made_up()
    inside.save(tmp_path / "inside.npz")
    spilled_copy(inside).save(tmp_path / "outside.npz")
    assert (tmp_path / "inside.npz").read_bytes() == (tmp_path / "outside.npz").read_bytes()
    back = PredictionTable.load(tmp_path / "outside.npz")
    assert back.is_spilled
    for name in PER_IMAGE:
        assert getattr(back, name).tobytes() == getattr(inside, name).tobytes(), name
    assert not list((tmp_path / "cache").iterdir())  # the files have no names


def test_a_damaged_table_is_refused_when_it_is_read_in_parts(tiny_memory, tmp_path):
    path = tmp_path / "table.npz"
    made_up().save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    with pytest.raises(ShiftbenchError, match="not a readable prediction table"):
        PredictionTable.load(path)


def test_parts_are_joined_in_order(tiny_memory):
    outside = spilled_copy(made_up())
    joined = PredictionTable.joined(list(outside.parts()))
    assert joined.is_spilled
    assert joined.top1.tobytes() == outside.top1.tobytes()


def test_columns_are_filled_chunk_by_chunk(tiny_memory):
    columns = Columns(10)
    for start in range(0, 10, 4):
        index = torch.arange(start, min(start + 4, 10))
        columns.put("top1", index[:, None].expand(-1, 3), start)
        columns.put("logit_scale", index.float(), start)
    assert columns.arrays["top1"].dtype == np.int32
    assert columns.arrays["logit_scale"].dtype == np.float32
    np.testing.assert_array_equal(columns.arrays["top1"], np.arange(10)[:, None].repeat(3, 1))
    np.testing.assert_array_equal(columns.arrays["logit_scale"], np.arange(10))
