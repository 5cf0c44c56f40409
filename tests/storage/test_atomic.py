"""Files appear whole or not at all."""

import pytest

from shiftbench.storage.atomic import atomic_file, write_text


def test_a_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "new folder" / "a.txt"
    with atomic_file(path) as file:
        file.write("text\n")
        assert not path.exists()
    assert path.read_bytes() == b"text\n"
    assert path.stat().st_mode & 0o400


def test_an_interrupted_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(KeyboardInterrupt), atomic_file(path) as file:
        file.write("ne")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
