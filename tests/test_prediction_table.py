"""The prediction table on disk."""

import dataclasses
import json
import pickle

import numpy as np
import pytest

from shiftbench.errors import ShiftbenchError
from shiftbench.metric.example import example, table_of
from shiftbench.prediction_table import FORMAT, PredictionTable

ARRAYS = [
    field.name
    for field in dataclasses.fields(PredictionTable)
    if field.name not in ("axes", "meta")
]


def saved_arrays(path):
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


@pytest.fixture
def path(tmp_path):
    example().save(tmp_path / "table.npz")
    return tmp_path / "table.npz"


def test_round_trip_keeps_every_byte_and_type(tmp_path):
    table = dataclasses.replace(
        table_of([[0, -1, 1]], [0], shifts=[[100], [101], [102]], axes=("size",)),
        images=np.array([2**64 - 1], np.uint64),
        meta={"num_classes": 2, "protocol": {"path": "horizontal", "steps": [1, 2]}, "é": None},
    )
    table.save(tmp_path / "new" / "table.npz")
    back = PredictionTable.load(tmp_path / "new" / "table.npz")
    for name in ARRAYS:
        before, after = getattr(table, name), getattr(back, name)
        assert before.dtype == after.dtype, name
        assert before.shape == after.shape, name
        assert before.tobytes() == after.tobytes(), name
    assert back.axes == ("size",)
    assert back.meta == table.meta


def test_a_table_of_a_release_without_digests_is_read(path):
    assert PredictionTable.load(path).images is None


def test_counts_of_a_loaded_table(path):
    table = PredictionTable.load(path)
    assert (table.n_images, table.n_shifts, table.num_classes) == (4, 4, 3)


def test_the_same_table_is_the_same_file(path, tmp_path):
    example().save(tmp_path / "again.npz")
    assert path.read_bytes() == (tmp_path / "again.npz").read_bytes()


def test_a_failed_save_leaves_the_old_file(path):
    before = path.read_bytes()
    with pytest.raises(TypeError):
        dataclasses.replace(example(), meta={"model": object()}).save(path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["table.npz"]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ShiftbenchError, match=r"no prediction table at .*gone\.npz"):
        PredictionTable.load(tmp_path / "gone.npz")


@pytest.mark.parametrize("keep", [0, 1, 100, -1, -30])
def test_a_cut_off_file_is_refused(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ShiftbenchError, match="not a readable prediction table"):
        PredictionTable.load(path)


def test_a_damaged_file_is_refused(path):
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = b"\xff" * 40
    path.write_bytes(bytes(data))
    with pytest.raises(ShiftbenchError, match="not a readable prediction table"):
        PredictionTable.load(path)


@pytest.mark.parametrize("content", [b"epoch,loss\n1,0.5\n", b"\x00" * 200])
def test_another_file_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(ShiftbenchError, match="not a readable prediction table"):
        PredictionTable.load(path)


def test_a_single_array_is_refused(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ShiftbenchError, match="not a readable prediction table"):
        PredictionTable.load(path)


class Trap:
    """Leaves a trace if anybody unpickles it."""

    sprung = False

    def __reduce__(self):
        return setattr, (Trap, "sprung", True)


@pytest.mark.parametrize("name", ["top1", "header"])
def test_a_pickled_object_is_refused_and_never_run(path, name):
    arrays = saved_arrays(path)
    arrays[name] = np.array([Trap()], dtype=object)
    np.savez(path, **arrays)
    with pytest.raises(ShiftbenchError, match="not a readable prediction table"):
        PredictionTable.load(path)
    assert not Trap.sprung


def test_a_pickle_in_place_of_the_file_is_refused_and_never_run(path):
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ShiftbenchError, match="not a readable prediction table"):
        PredictionTable.load(path)
    assert not Trap.sprung


@pytest.mark.parametrize("name", ["top1", "labels", "header"])
def test_a_missing_array_is_refused(path, name):
    arrays = saved_arrays(path)
    del arrays[name]
    np.savez(path, **arrays)
    with pytest.raises(ShiftbenchError, match=name):
        PredictionTable.load(path)


def test_another_format_is_refused_with_both_numbers(path):
    arrays = saved_arrays(path)
    header = json.loads(str(arrays["header"])) | {"format": FORMAT + 1}
    np.savez(path, **arrays | {"header": np.array(json.dumps(header))})
    with pytest.raises(ShiftbenchError, match=f"format {FORMAT + 1}, this version reads {FORMAT}"):
        PredictionTable.load(path)
