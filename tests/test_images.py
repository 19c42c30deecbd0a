"""Images and masks as files: what is read, and what is refused with which words."""

import cv2
import numpy as np
import pytest

from effiseg.images import list_names, read_image, read_mask, read_pair

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
])
def test_what_is_no_image_is_refused(tmp_path, content, message):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_image(path)


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
