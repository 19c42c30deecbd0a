"""Images and masks as files: what is read, and what is refused with which words."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from effiseg.images import LARGEST, list_names, read_image, read_mask, read_pair
from effiseg.pictures import read_picture

JPEG = [cv2.IMWRITE_JPEG_QUALITY, 100]


def write_picture(path, pixels, kind=".jpg"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(kind, pixels, JPEG if kind == ".jpg" else [])[1].tobytes())
    return path


def write_pair(folder, name, image_size=(8, 12), mask_size=(8, 12)):
    write_picture(folder / "images" / f"{name}.jpg", np.full((*image_size, 3), 90, np.uint8))
    write_picture(folder / "masks" / f"{name}.jpg", np.full(mask_size, 255, np.uint8))


def test_an_image_is_rgb_height_first(tmp_path):
    blue_in_opencv_order = np.zeros((8, 12, 3), np.uint8) + np.array([250, 0, 0], np.uint8)
    image = read_image(write_picture(tmp_path / "a.jpg", blue_in_opencv_order))
    assert image.shape == (8, 12, 3) and image.dtype == np.uint8
    assert image[..., 2].min() > 240 and image[..., :2].max() < 15


def test_a_grey_image_still_has_three_channels(tmp_path):
    path = write_picture(tmp_path / "a.jpg", np.full((8, 12), 70, np.uint8))
    assert read_image(path).shape == (8, 12, 3)


def test_samples_of_16_bits_are_halved_to_8(tmp_path):
    values = np.array([[0, 200 * 257, 65535]], np.uint16)
    path = write_picture(tmp_path / "a.jpg", values, kind=".png")
    assert read_image(path)[..., 0].tolist() == [[0, 200, 255]]
    assert read_mask(path).tolist() == [[False, True, True]]


def test_a_jpeg_of_four_inks_is_rgb(tmp_path):
    ink = Image.new("CMYK", (16, 8), (0, 255, 255, 0))  # magenta and yellow are red
    ink.save(tmp_path / "a.jpg", quality=100)
    image = read_image(tmp_path / "a.jpg")
    assert image.shape == (8, 16, 3)
    assert image[..., 0].min() > 240 and image[..., 1:].max() < 15


@pytest.mark.parametrize("value", [0, 255])
def test_a_mask_may_be_empty_or_full(tmp_path, value):
    write_pair(tmp_path, "a")
    write_picture(tmp_path / "masks" / "a.jpg", np.full((8, 12), value, np.uint8))
    assert (read_pair(tmp_path, "a").mask == bool(value)).all()


def test_a_mask_is_true_above_127(tmp_path):
    values = np.array([[0, 8, 127], [128, 246, 255]], np.uint8)
    mask = read_mask(write_picture(tmp_path / "a.jpg", values, kind=".png"))
    assert mask.dtype == np.bool_
    assert mask.tolist() == [[False, False, False], [True, True, True]]


def test_file_names_may_have_any_letters(tmp_path):
    path = write_picture(tmp_path / "pólipo 息肉 #1.jpg", np.zeros((4, 6, 3), np.uint8))
    assert read_image(path).shape == (4, 6, 3)


def test_a_pair_has_one_size(tmp_path):
    write_pair(tmp_path, "a")
    image, mask = read_pair(tmp_path, "a")
    assert image.shape == (8, 12, 3) and mask.shape == (8, 12) and mask.all()


def test_a_pair_of_two_sizes_is_refused_with_both(tmp_path):
    write_pair(tmp_path, "a", image_size=(8, 12), mask_size=(9, 12))
    with pytest.raises(ValueError, match=r"masks.a\.jpg is 12 x 9, .*images.a\.jpg is 12 x 8"):
        read_pair(tmp_path, "a")


def test_an_orientation_mark_turns_neither_image_nor_mask(tmp_path):
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    path = write_picture(tmp_path / "a.jpg", np.zeros((8, 12, 3), np.uint8))
    content = path.read_bytes()
    path.write_bytes(content[:2] + segment + content[2:])
    assert read_image(path).shape == (8, 12, 3) and read_mask(path).shape == (8, 12)


@pytest.mark.parametrize("read", [read_image, read_mask])
@pytest.mark.parametrize("kept", [0.4, 0.9, 0.999])
def test_a_truncated_jpeg_is_refused(tmp_path, read, kept):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = write_picture(tmp_path / "a.jpg", noise)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ValueError, match=r"a\.jpg is a truncated JPEG \(\d+ bytes\).* again"):
        read(path)


@pytest.mark.parametrize("padding", [b"\0\0\0", b"\n", b"\r\n\0"])
def test_padding_after_the_end_of_a_jpeg_is_allowed(tmp_path, padding):
    path = write_picture(tmp_path / "a.jpg", np.zeros((8, 12, 3), np.uint8))
    path.write_bytes(path.read_bytes() + padding)
    assert read_image(path).shape == (8, 12, 3)


@pytest.mark.parametrize(("content", "message"), [
    pytest.param(b"", r"a\.jpg is empty.* again", id="empty"),
    pytest.param(b"<html>404</html>", r"a\.jpg \(16 bytes\) is not an image", id="web page"),
    pytest.param(b"\xff\xd8\xff\xd9", r"a\.jpg \(4 bytes\) is not an image", id="empty jpeg"),
    pytest.param(b"\x89PNG\r\n\x1a\n", r"a\.jpg is a truncated PNG", id="empty png"),
    pytest.param(b"GIF89a" + bytes(99), r"is not an image .*; expected JPEG or PNG", id="gif"),
    pytest.param(b"\0" * 4096, r"a\.jpg \(4096 bytes\) is not an image", id="zeros"),
])
def test_what_is_no_image_is_refused(tmp_path, content, message):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_image(path)


@pytest.mark.parametrize("suffix", [".bmp", ".tiff", ".webp"])
def test_only_the_formats_of_the_data_set_are_decoded(tmp_path, suffix):
    path = write_picture(tmp_path / "a.jpg", np.zeros((8, 12, 3), np.uint8), kind=suffix)
    with pytest.raises(ValueError, match=r"a\.jpg .* is not an image .*; expected JPEG or PNG"):
        read_image(path)


def chunk(kind, body, length=None):
    head = struct.pack(">I", len(body) if length is None else length)
    return head + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.mark.parametrize("damage", [
    pytest.param(lambda content: content[:200], id="cut in the pixels"),
    pytest.param(lambda content: content[:-1], id="cut in the last chunk"),
    pytest.param(lambda content: content[:-12], id="cut before the last chunk"),
    pytest.param(lambda content: content[:33] + chunk(b"tEXt", b"a", 2**31 - 1) + content[33:],
                 id="a chunk of 2 GiB"),
    pytest.param(lambda content: content[:-12] + chunk(b"IEND", b"", 2**31 - 1),
                 id="an end of 2 GiB"),
])
def test_a_truncated_png_is_refused_before_it_is_decoded(tmp_path, damage):
    noise = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
    path = write_picture(tmp_path / "a.jpg", noise, kind=".png")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"a\.jpg is a truncated PNG \(\d+ bytes\).* again"):
        read_image(path)


@pytest.mark.parametrize("read", [read_image, read_picture])
@pytest.mark.parametrize("filtered", [0, 9], ids=["whole", "second frame damaged"])
def test_the_first_frame_of_an_animated_png_is_taken(tmp_path, read, filtered):
    frames = [
        zlib.compress(b"".join(bytes([kind]) + b"\xff" * 240 for _ in range(36)))  # 16-bit RGB
        for kind in (0, filtered)  # the filter of each row; there is no 9, which ended the process
    ]
    control = struct.pack(">IIIIIHHBB", 0, 40, 36, 0, 0, 1, 10, 0, 0)
    (tmp_path / "a.jpg").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join((
        chunk(b"IHDR", struct.pack(">IIBBBBB", 40, 36, 16, 2, 0, 0, 0)),
        chunk(b"acTL", struct.pack(">II", 2, 0)),
        chunk(b"IDAT", frames[0]),
        chunk(b"fcTL", control),
        chunk(b"fdAT", bytes(4) + frames[1]),
        chunk(b"IEND", b""),
    )))  # fmt: skip
    image = read(tmp_path / "a.jpg")
    assert image.shape == (36, 40, 3) and image.min() == 255


def test_a_png_with_a_changed_byte_is_refused(tmp_path):
    path = write_picture(tmp_path / "a.jpg", np.full((8, 12, 3), 7, np.uint8), kind=".png")
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.jpg .* is not an image"):
        read_image(path)


SIZE_OF_PNG, SIZE_OF_JPEG = struct.Struct(">II"), struct.Struct(">HH")


def promise(path, kind, width, height):
    """An image of a few bytes whose header says that it is of this size."""
    content = write_picture(path, np.zeros((8, 16, 3), np.uint8), kind).read_bytes()
    if kind == ".png":
        found, size = SIZE_OF_PNG.pack(16, 8), SIZE_OF_PNG.pack(width, height)
    else:
        found, size = SIZE_OF_JPEG.pack(8, 16), SIZE_OF_JPEG.pack(height, width)
    assert content.count(found) == 1
    path.write_bytes(content.replace(found, size))
    return path


@pytest.mark.parametrize("read", [read_image, read_mask])
@pytest.mark.parametrize(("kind", "width", "height"), [
    (".jpg", 60_000, 60_000), (".jpg", 30_000, 30_000), (".jpg", 16, LARGEST + 1),
    (".png", 60_000, 60_000), (".png", 2**31 - 1, 2**31 - 1), (".png", LARGEST + 1, 8),
])
def test_an_image_that_promises_too_many_pixels_is_refused_before_they_are_decoded(
    tmp_path, read, kind, width, height
):
    path = promise(tmp_path / "a.jpg", kind, width, height)
    with pytest.raises(ValueError, match=rf"a\.jpg is {width} x {height} pixels; .* 8000 a side"):
        read(path)


@pytest.mark.parametrize("kind", [".jpg", ".png"])
def test_the_largest_side_is_still_read(tmp_path, kind):
    path = write_picture(tmp_path / "a.jpg", np.zeros((8, LARGEST, 3), np.uint8), kind)
    assert read_image(path).shape == (8, LARGEST, 3)


@pytest.mark.parametrize("extra", [
    pytest.param(b"\xff\xff\xff", id="fill bytes"),
    pytest.param(b"junk\xff\x00", id="bytes that are no segment"),
    pytest.param(b"\xff\xd0", id="a mark without a length"),
    pytest.param(b"\xff\xe1\0\x0dExif\0\0" + b"\xff\xc0\0\x11\x08"[:5], id="a thumbnail"),
])
def test_the_size_of_a_jpeg_is_found_behind_what_comes_before_it(tmp_path, extra):
    path = promise(tmp_path / "a.jpg", ".jpg", 16, 9000)
    content = path.read_bytes()
    path.write_bytes(content[:2] + extra + content[2:])
    with pytest.raises(ValueError, match=r"a\.jpg is 16 x 9000 pixels"):
        read_image(path)


def test_a_folder_in_the_place_of_an_image_is_named(tmp_path):
    (tmp_path / "a.jpg").mkdir()
    with pytest.raises(IsADirectoryError, match=r"a\.jpg"):
        read_image(tmp_path / "a.jpg")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.jpg"):
        read_image(tmp_path / "nowhere.jpg")


def test_names_are_sorted(tmp_path):
    for name in ("b", "c", "a"):
        write_pair(tmp_path, name)
    assert list_names(tmp_path) == ["a", "b", "c"]


@pytest.mark.parametrize("part", ["images", "masks"])
def test_an_image_or_a_mask_alone_is_named(tmp_path, part):
    write_pair(tmp_path, "a")
    write_pair(tmp_path, "b")
    (tmp_path / part / "b.jpg").unlink()
    with pytest.raises(ValueError, match=r"Without a partner: b\b"):
        list_names(tmp_path)


def test_a_folder_without_pairs_is_refused(tmp_path):
    with pytest.raises(ValueError, match="0 images and 0 masks"):
        list_names(tmp_path)
