"""Drawn images are cached, and cached images equal drawn ones."""

import io

import numpy as np
import pytest
import torch

from shiftbench.data.drawn import at_rest
from shiftbench.data.render import render
from shiftbench.data.scenes import Law, draw

COUNT, SIDE = 350, 32  # the fewest that are kept


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SHIFTBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "shapes"


@pytest.fixture(scope="module")
def scenes():
    return draw(COUNT, Law(), 0)


@pytest.fixture(scope="module")
def drawn(scenes):
    return render(scenes, SIDE, torch.zeros(COUNT, 2))


def test_cached_images_equal_drawn_ones(cache, scenes, drawn):
    assert torch.equal(at_rest(scenes, SIDE), drawn)
    [file] = cache.iterdir()
    assert torch.equal(at_rest(scenes, SIDE), drawn)
    assert [file] == list(cache.iterdir())


def test_the_cached_file_is_read(cache, scenes, drawn):
    at_rest(scenes, SIDE)
    [file] = cache.iterdir()
    file.write_bytes(_of_zeros(drawn))
    assert not at_rest(scenes, SIDE).any()


def _of_zeros(drawn):
    file = io.BytesIO()
    np.savez(file, images=np.zeros_like(drawn.numpy()))
    return file.getvalue()


@pytest.mark.parametrize("damage", [b"", b"no archive", None])
def test_a_damaged_file_is_drawn_again(cache, scenes, drawn, damage):
    at_rest(scenes, SIDE)
    [file] = cache.iterdir()
    file.write_bytes(_of_zeros(drawn[:1]) if damage is None else damage)
    assert torch.equal(at_rest(scenes, SIDE), drawn)
    assert torch.equal(at_rest(scenes, SIDE), drawn)


def test_other_scenes_and_sizes_have_files_of_their_own(cache, scenes):
    at_rest(scenes, SIDE)
    at_rest(scenes, SIDE + 1)
    at_rest(draw(COUNT, Law(), 1), SIDE)
    assert len(list(cache.iterdir())) == 3


def test_small_sets_are_not_cached(cache, scenes, drawn):
    few = scenes[:100]
    assert torch.equal(at_rest(few, SIDE), drawn[:100])
    assert not cache.exists()


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch, scenes, drawn):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SHIFTBENCH_CACHE", str(tmp_path / "file"))
    assert torch.equal(at_rest(scenes, SIDE), drawn)
