import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
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


def test_a_file_that_is_not_an_image_is_unreadable(tmp_path):
    (tmp_path / "a.png").write_text("hello")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UnreadableImage, match="not an image"):
        decode_image(tmp_path / "a.png", 8, 3)
    for name in ("folder.png", "missing.png"):
        with pytest.raises(UnreadableImage, match=r"directory|Permission"):
            decode_image(tmp_path / name, 8, 3)


BITS, PHOTOMETRIC, EXTRA_SAMPLES, SAMPLE_FORMAT, WHITE_IS_ZERO = 258, 262, 338, 339, 0


def test_floating_point_pixels_are_refused(tmp_path):
    path = saved(tmp_path, Image.fromarray(np.zeros((8, 8), np.float32)), "a.tif")
    with pytest.raises(UnreadableImage, match="floating-point"):
        decode_image(path, 8, 3)


def tiff(folder, rows, bits, tags=None):
    """A TIFF of one strip, 8×8 px, written by hand: what PIL reads but does not write.

    ``rows`` are its bytes; ``bits`` those of a pixel, or of each of its two numbers; ``tags`` are
    further 16-bit values.
    """
    bits = bits if isinstance(bits, tuple) else (bits,)
    longs = {256: 8, 257: 8, 273: 8, 278: 8, 279: rows.size}
    shorts = {BITS: bits, 259: (1,), PHOTOMETRIC: (1,), 277: (len(bits),)}
    shorts |= {number: (value,) for number, value in (tags or {}).items()}
    fields = {number: struct.pack("<HII", 4, 1, value) for number, value in longs.items()}
    for number, values in shorts.items():
        padded = struct.pack(f"<{len(values)}H", *values).ljust(4, b"\0")
        fields[number] = struct.pack("<HI", 3, len(values)) + padded
    directory = struct.pack("<H", len(fields))
    directory += b"".join(struct.pack("<H", n) + fields[n] for n in sorted(fields)) + b"\0" * 4
    body = rows.astype(np.uint8).tobytes()
    path = folder / "a.tif"
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(body)) + body + directory)
    return path


def test_12_bits_are_scaled_by_12_bits(tmp_path):
    levels = np.arange(64).reshape(8, 8) * 65  # 0 to 4095
    one, two = levels[:, ::2], levels[:, 1::2]
    packed = np.stack([one >> 4, (one & 15) << 4 | two >> 8, two & 255], -1).reshape(8, 12)
    path = tiff(tmp_path, packed, 12)
    np.testing.assert_array_equal(decode_image(path, 8, 1)[0], levels // 16)


def test_a_dark_image_of_16_bits_stays_dark(tmp_path):
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8)
    for name in ("a.png", "a.tif"):
        path = saved(tmp_path, Image.fromarray(deep), name)
        assert decode_image(path, 8, 1).max() == 0


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_16_bits_in_either_byte_order(tmp_path, order):
    deep = (np.arange(64).reshape(8, 8) * 1000).astype(order)
    path = saved(tmp_path, Image.fromarray(deep), "a.tif")
    np.testing.assert_array_equal(decode_image(path, 8, 1)[0], deep // 256)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_tiff_with_white_as_zero_keeps_black_and_white(tmp_path, bits):
    grey = np.arange(64).reshape(8, 8) * 4
    stored = (255 - grey).repeat(bits // 8, axis=1)  # 16 bits: the same byte twice
    path = tiff(tmp_path, stored, bits, {PHOTOMETRIC: WHITE_IS_ZERO})
    np.testing.assert_array_equal(decode_image(path, 8, 1)[0], grey)


@pytest.mark.parametrize(("maxval", "scale"), [(1023, 1023), (4095, 4095), (65535, 65535)])
def test_a_pgm_is_scaled_by_its_largest_value(tmp_path, maxval, scale):
    levels = np.linspace(0, maxval, 64).astype(">u2").reshape(8, 8)
    path = tmp_path / "a.pgm"
    path.write_bytes(f"P5 8 8 {maxval}\n".encode() + levels.tobytes())
    expected = levels / scale * 255
    assert np.abs(decode_image(path, 8, 1)[0] - expected).max() <= 1


@pytest.mark.parametrize(
    ("dtype", "sample_format", "sentence"),
    [
        (np.int32, 2, "signed"),
        (np.uint32, 1, "32-bit numbers without a known range"),
        (np.int16, 2, "signed"),
        (np.int8, 2, "signed"),
    ],
)
def test_whole_numbers_without_a_known_range_are_refused(tmp_path, dtype, sample_format, sentence):
    numbers = np.arange(64, dtype=dtype).reshape(8, 8)
    tags = {SAMPLE_FORMAT: sample_format}
    path = tiff(tmp_path, numbers.view(np.uint8), numbers.itemsize * 8, tags)
    with pytest.raises(UnreadableImage, match=sentence):
        decode_image(path, 8, 3)


MODES = ("1", "L", "P", "LA", "PA", "RGBA", "CMYK", "YCbCr", "LAB")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", MODES)
def test_every_pixel_type_is_read_as_displayed(tmp_path, mode, channels):
    """A ramp of greys, which every colour space holds."""
    ramp = np.tile(np.arange(0, 256, 32, dtype=np.uint8), (8, 1))
    if mode == "1":
        ramp = np.where(ramp < 128, 0, 255).astype(np.uint8)
    path = saved(tmp_path, in_mode(Image.fromarray(np.stack([ramp] * 3, -1)), mode), "a.tif")
    with Image.open(path) as image:
        assert image.mode == mode
    pixels = decode_image(path, 8, channels).astype(int)
    assert np.abs(pixels - ramp).max() <= (3 if mode in ("LAB", "YCbCr") else 0)


def in_mode(image, mode):
    if mode in ("P", "PA"):
        return image.convert("P", palette=Image.Palette.ADAPTIVE).convert(mode)
    if mode == "LAB":
        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        return ImageCms.applyTransform(image, ImageCms.buildTransform(*profiles, "RGB", "LAB"))
    return image.convert(mode)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("mode", "transparency"),
    [("P", bytes(256)), ("P", 0), ("L", 0), ("RGB", (0, 0, 0)), ("1", 0)],
)
def test_what_is_transparent_keeps_its_colour_without_a_warning(
    tmp_path, mode, transparency, channels
):
    image = Image.fromarray(GREY // 128 * 255).convert(mode)
    path = saved(tmp_path, image, transparency=transparency)
    np.testing.assert_array_equal(decode_image(path, 8, channels)[0], GREY // 128 * 255)


def test_grey_under_transparency_divided_by_it(tmp_path):
    """TIFF's associated alpha: 50 under half transparency is a grey of 100."""
    premultiplied = np.stack([np.full((8, 8), 50), np.full((8, 8), 128)], -1)
    path = tiff(tmp_path, premultiplied, (8, 8), {EXTRA_SAMPLES: 1})
    assert np.abs(decode_image(path, 8, 3).astype(int) - 100).max() <= 1


def test_exif_orientation_is_ignored_as_by_torchvisions_imagefolder(tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # to be turned by a quarter when shown
    path = saved(tmp_path, Image.fromarray(COLOUR), exif=exif)
    np.testing.assert_array_equal(decode_image(path, 8, 3), COLOUR.transpose(2, 0, 1))


@given(width=st.integers(1, 70), height=st.integers(1, 70), size=st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_squashed_is_torchvisions_resize_of_both_sides(tmp_path_factory, width, height, size):
    image = Image.fromarray(RNG.integers(0, 256, (height, width, 3), np.uint8))
    path = saved(tmp_path_factory.getbasetemp(), image, "squashed.png")
    side = size + size // 3
    expected = np.asarray(Compose([Resize((side, side)), CenterCrop(size)])(image))
    pixels = decode_image(path, size, 3, short_side=side, squash=True)
    np.testing.assert_array_equal(pixels, expected.transpose(2, 0, 1))
