"""What a run's settings become: content in the place of paths, sources beside names."""

import gzip
import unicodedata

import numpy as np
import pytest
from PIL import Image

from shiftbench.content import data
from shiftbench.content.modules import spec_of
from shiftbench.content.origin import Origin, public_name

FOLDER = "shiftbench.data.folder.load"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SHIFTBENCH_CACHE", str(tmp_path / "cache"))


def paint(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def images(tmp_path):
    for number, split in enumerate(("train", "test")):
        for name in "ab":
            paint(tmp_path / "ds" / split / name / "0.png", seed=10 * number + ord(name))
    return tmp_path / "ds"


def of(root, **more):
    given = {"data._target_": FOLDER, "data.root": str(root), **more}
    return Origin.of(given).settings


def test_images_count_wherever_they_are(images, tmp_path, monkeypatch):
    first = of(images)
    assert first["data.root"].startswith("sha256:")
    monkeypatch.chdir(tmp_path)
    assert of("ds") == of("./ds") == of("ds/../ds") == first
    images.rename(tmp_path / "other")
    assert of(tmp_path / "other") == first


def test_test_images_are_digested_separately(images):
    first = of(images)
    paint(images / "test" / "a" / "0.png", seed=99)
    second = of(images)
    assert second["data.test.root"] != first["data.test.root"]
    assert second["data.root"] == first["data.root"]
    paint(images / "train" / "a" / "0.png", seed=98)
    assert of(images)["data.root"] != first["data.root"]


def test_images_that_swap_classes_change_the_digest(images):
    first = of(images)
    (images / "test" / "a").rename(images / "test" / "c")
    (images / "test" / "b").rename(images / "test" / "a")
    (images / "test" / "c").rename(images / "test" / "b")
    assert of(images)["data.test.root"] != first["data.test.root"]


def test_files_outside_of_classes_do_not_count(images):
    first = of(images)
    (images / "notes.txt").write_text("x")
    (images / "train" / "stray.png").write_bytes(b"x")
    (images / "train" / "a" / ".hidden.png").write_bytes(b"x")
    (images / "runs").mkdir()
    assert of(images) == first


def test_both_unicode_forms_of_a_name_are_one(tmp_path):
    """macOS keeps é as e and an accent."""
    found = []
    for form in ("NFC", "NFD"):
        root = tmp_path / form
        for split in ("train", "test"):
            for number, name in enumerate(("été", "zoo")):
                stored = unicodedata.normalize(form, name)
                paint(root / split / stored / unicodedata.normalize(form, "ñ.png"), seed=number)
                paint(root / split / stored / "oz.png", seed=number + 9)
        found.append(of(root))
    assert found[0] == found[1]


def test_a_validation_folder_alone_is_what_is_tested(images):
    (images / "test").rename(images / "val")
    first = of(images)
    paint(images / "val" / "a" / "0.png", seed=5)
    assert of(images)["data.root"] == first["data.root"]
    assert of(images)["data.test.root"] != first["data.test.root"]


def test_a_missing_folder_stays_a_name(tmp_path):
    assert of(tmp_path / "none")["data.root"] == str(tmp_path / "none")


def idx_files(folder, first_byte, packed):
    folder.mkdir(parents=True)
    for name in data.IDX_FILES:
        content = bytes([first_byte]) + name.encode()
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)


@pytest.mark.parametrize("name", ["mnist", "rotated_mnist", "mnist_scale"])
def test_digits_count_by_their_uncompressed_content(tmp_path, name):
    def mnist(root):
        given = {"data._target_": f"shiftbench.data.{name}.load", "data.root": str(root)}
        return Origin.of(given).settings["data.root"]

    idx_files(tmp_path / "one" / "MNIST" / "raw", 1, packed=True)
    idx_files(tmp_path / "two" / "MNIST" / "raw", 1, packed=False)
    idx_files(tmp_path / "three" / "MNIST" / "raw", 2, packed=True)
    assert mnist(tmp_path / "one") == mnist(tmp_path / "two") != mnist(tmp_path / "three")
    assert mnist(tmp_path / "none") is None  # what will be downloaded is fixed


def test_verified_files_count_by_the_name_of_the_data_set(tmp_path):
    given = {"data._target_": "shiftbench.data.cifar10.load", "data.root": str(tmp_path)}
    assert Origin.of(given).settings["data.root"] is None


def test_files_count_in_lists_and_mappings_too(tmp_path):
    (tmp_path / "a.txt").write_text("1")
    given = {"pool.files": [str(tmp_path / "a.txt"), {"deep": str(tmp_path / "a.txt")}]}
    [one, two] = Origin.of(given).settings["pool.files"]
    assert one == two["deep"]
    assert one.startswith("sha256:")
    (tmp_path / "a.txt").write_text("2")
    assert Origin.of(given).settings["pool.files"] != [one, two]


def test_a_target_in_a_list_has_its_source_beside_it(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    spec_of.cache_clear()
    (tmp_path / "moves.py").write_text("class Turn: pass\n")
    settings = Origin.of({"augment.parts": [{"_target_": "moves.Turn"}]}).settings
    assert settings["augment.parts.0._target_.source"].startswith("sha256:")


def test_where_a_class_of_the_package_lives_does_not_count():
    assert public_name("shiftbench.pool.blur.BlurPool2d") == "blur.BlurPool2d"
    assert public_name("shiftbench.predict.layer_probe.pool.blur.BlurPool2d") == "blur.BlurPool2d"
    assert public_name("mine.blur.BlurPool2d") == "mine.blur.BlurPool2d"


def test_class_lists_and_strings_for_third_party_code_count_by_content(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def given(order, taps):
        (tmp_path / "order").write_text(order)
        (tmp_path / "taps").write_text(taps)
        return Origin.of(
            {"data._target_": "shiftbench.data.imagenet.load", "data.classes": "order",
             "pool._target_": "theirs.Pool", "pool.filter": "taps",
             "model._target_": "shiftbench.model.imported.ImportedNetwork",
             "model.kwargs.blocks": ["taps"]}
        ).settings  # fmt: skip

    first = given("a b", "1 2 1")
    assert given("a b", "1 2 1") == first
    assert given("b a", "1 2 1") != first
    changed = given("a b", "1 3 1")
    assert changed.keys() == first.keys()
    assert {key for key in first if first[key] != changed[key]} == {
        "pool.filter.content", "model.kwargs.blocks.0.content"
    }  # fmt: skip
    assert (first["pool.filter"], first["model.kwargs.blocks"]) == ("taps", ["taps"])


def test_a_name_is_no_file_even_if_there_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("resnet50.a1_in1k", "resnet18.a1_in1k"):
        (tmp_path / name).touch()
        assert Origin.of({"model.name": name}).settings == {"model.name": name}
