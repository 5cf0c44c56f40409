import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, Resize

from shiftbench.data.decode import UnreadableImage, decode_image

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (8, 8, 3), np.uint8)
GREY = RNG.integers(0, 256, (8, 8), np.uint8)


def saved(folder, image, name="a.png", **options):
    path = folder / name
    image.save(path, **options)
    return path


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {}),
        ("a.bmp", {}),
        ("a.ppm", {}),
        ("a.tif", {}),
        ("a.webp", {"lossless": True}),
    ],
)
def test_an_image_of_that_size_keeps_its_pixels(tmp_path, name, options):
    path = saved(tmp_path, Image.fromarray(COLOUR), name, **options)
    pixels = decode_image(path, 8, 3)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, COLOUR.transpose(2, 0, 1))


@pytest.mark.parametrize(("quality", "name"), [(95, "a.jpg"), (50, "a.JPEG")])
def test_jpeg_pixels_are_those_of_pil(tmp_path, quality, name):
    path = saved(tmp_path, Image.fromarray(COLOUR), name, quality=quality)
    with Image.open(path) as image:
        expected = np.asarray(image)
    np.testing.assert_array_equal(decode_image(path, 8, 3), expected.transpose(2, 0, 1))


def test_grey_becomes_rgb_and_rgb_becomes_grey(tmp_path):
    path = saved(tmp_path, Image.fromarray(GREY))
    np.testing.assert_array_equal(decode_image(path, 8, 3), np.stack([GREY] * 3))
    np.testing.assert_array_equal(decode_image(path, 8, 1), GREY[None])
    red = saved(tmp_path, Image.new("RGB", (8, 8), (255, 0, 0)), "red.png")
    assert np.unique(decode_image(red, 8, 1)).tolist() == [76]  # 0.299 of 255


def test_alpha_is_dropped(tmp_path):
    image = Image.fromarray(np.dstack([COLOUR, GREY]))
    assert image.mode == "RGBA"
    pixels = decode_image(saved(tmp_path, image), 8, 3)
    np.testing.assert_array_equal(pixels, COLOUR.transpose(2, 0, 1))


@pytest.mark.parametrize("name", ["a.png", "a.gif"])
def test_palette_with_transparency_is_read_without_a_warning(tmp_path, name):
    image = Image.fromarray(GREY // 64).convert("P")
    image.putpalette([*(255, 0, 0), *(0, 255, 0), *(0, 0, 255), *(9, 9, 9)])
    path = saved(tmp_path, image, name, transparency=bytes([0, 255]) if "png" in name else 0)
    colours = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 9, 9)])
    np.testing.assert_array_equal(decode_image(path, 8, 3), colours[GREY // 64].transpose(2, 0, 1))


def test_16_bits_are_scaled_not_clipped(tmp_path):
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    path = saved(tmp_path, Image.fromarray(deep))
    np.testing.assert_array_equal(decode_image(path, 8, 1)[0], deep // 256)
    np.testing.assert_array_equal(decode_image(path, 8, 3)[2], deep // 256)


@given(
    width=st.integers(1, 70), height=st.integers(1, 70), size=st.integers(1, 40), seed=st.integers()
)
@settings(max_examples=60, deadline=None)
def test_resizing_is_torchvisions_resize_and_center_crop(
    tmp_path_factory, width, height, size, seed
):
    rng = np.random.default_rng(abs(seed))
    image = Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))
    path = saved(tmp_path_factory.getbasetemp(), image, "resized.png")
    expected = np.asarray(Compose([Resize(size), CenterCrop(size)])(image))
    np.testing.assert_array_equal(decode_image(path, size, 3), expected.transpose(2, 0, 1))


def test_the_centre_is_kept(tmp_path):
    wide = np.zeros((8, 24, 3), np.uint8)
    wide[:, 8:16] = COLOUR
    pixels = decode_image(saved(tmp_path, Image.fromarray(wide)), 8, 3)
    np.testing.assert_array_equal(pixels, COLOUR.transpose(2, 0, 1))


def test_downscaling_is_antialiased(tmp_path):
    checkers = ((np.indices((64, 64)).sum(0) % 2) * 255).astype(np.uint8)
    pixels = decode_image(saved(tmp_path, Image.fromarray(checkers)), 8, 1)
    assert np.abs(pixels.astype(int) - 127).max() <= 2


@pytest.mark.parametrize("keep", [0, 1, 20, 60, 0.5, 0.95])
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.gif", "a.webp", "a.ppm"])
def test_a_file_cut_short_is_unreadable(tmp_path, name, keep):
    big = RNG.integers(0, 256, (64, 64, 3), np.uint8)
    path = saved(tmp_path, Image.fromarray(big), name)
    data = path.read_bytes()
    path.write_bytes(data[: keep if isinstance(keep, int) else int(keep * len(data))])
    with pytest.raises(UnreadableImage) as caught:
        decode_image(path, 8, 3)
    assert str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_image_is_unreadable(tmp_path):
    (tmp_path / "a.png").write_text("hello")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UnreadableImage, match="not an image"):
        decode_image(tmp_path / "a.png", 8, 3)
    for name in ("folder.png", "missing.png"):
        with pytest.raises(UnreadableImage, match=r"directory|Permission"):
            decode_image(tmp_path / name, 8, 3)


def test_floating_point_pixels_are_refused(tmp_path):
    path = saved(tmp_path, Image.fromarray(np.zeros((8, 8), np.float32)), "a.tif")
    with pytest.raises(UnreadableImage, match="floating-point"):
        decode_image(path, 8, 3)
