"""Pictures of users: every format by hand-worked values, what is refused, and what is called how.

Expected pixels are worked by hand, or files are written with OpenCV or tifffile, as `read_picture`
reads with Pillow.
"""

import os
import struct
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from effiseg.images import read_image
from effiseg.pictures import LARGEST_FILE, SUFFIXES, is_video, list_sources, read_picture

ORIENTATION, X_RESOLUTION = 0x112, 0x11A
SHORT, ASCII = 3, 2  # types of EXIF values


def draw_noise(height=40, width=48, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def write_with_opencv(path, image):
    options = {".webp": [cv2.IMWRITE_WEBP_QUALITY, 101], ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 100]}
    content = cv2.imencode(path.suffix, image[..., ::-1], options.get(path.suffix, []))[1]
    path.write_bytes(content.tobytes())
    return path


def write_rows(path, rows, dtype, height=36, width=40):
    """A grey picture of equal bands, one a value, without loss; and the rows of these bands."""
    values = np.repeat(np.asarray(rows, dtype), height // len(rows))
    samples = np.repeat(values[:, None], width, axis=1)
    if path.suffix == ".png":
        path.write_bytes(cv2.imencode(".png", samples)[1].tobytes())
    else:
        tifffile.imwrite(path, samples)
    return path


def bands(image, number):
    """The one grey value of each of so many equal bands."""
    assert image.dtype == np.uint8 and (image == image[:, :1, :1]).all()
    parts = np.split(image[:, 0, 0], number)
    assert all((part == part[0]).all() for part in parts)
    return [int(part[0]) for part in parts]


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".bmp", ".webp"])
def test_formats_without_loss_give_back_every_pixel(tmp_path, suffix):
    image = draw_noise()
    read = read_picture(write_with_opencv(tmp_path / f"a{suffix}", image))
    assert read.dtype == np.uint8 and np.array_equal(read, image)


def test_a_jpeg_is_rgb_height_first(tmp_path):
    image = np.zeros((40, 48, 3), np.uint8) + np.array([250, 130, 5], np.uint8)
    image[:20] = (5, 130, 250)
    read = read_picture(write_with_opencv(tmp_path / "a.jpg", image))
    assert read.shape == (40, 48, 3) and read.dtype == np.uint8
    assert np.abs(read.astype(int) - image)[[0, 10, 30, 39]].max() <= 3


@pytest.mark.parametrize("sampling", [0, 1, 2], ids=["4:4:4", "4:2:2", "4:2:0"])
def test_a_jpeg_has_the_pixels_that_the_pipeline_trains_on(tmp_path, sampling):
    smooth = cv2.GaussianBlur(draw_noise(67, 93), (0, 0), 3)
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=80, subsampling=sampling)
    assert np.array_equal(read_picture(tmp_path / "a.jpg"), read_image(tmp_path / "a.jpg"))


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_a_grey_picture_has_three_equal_channels(tmp_path, suffix):
    Image.new("L", (48, 40), 77).save(tmp_path / f"a{suffix}")
    read = read_picture(tmp_path / f"a{suffix}")
    assert read.shape == (40, 48, 3)
    assert (read == read[..., :1]).all() and abs(int(read[20, 20, 0]) - 77) <= 1


def test_the_content_counts_and_not_the_suffix(tmp_path):
    image = draw_noise()
    write_with_opencv(tmp_path / "a.png", image).rename(tmp_path / "a.jpg")
    assert np.array_equal(read_picture(tmp_path / "a.jpg"), image)


def test_a_picture_of_black_and_white_alone_is_0_and_255(tmp_path):
    one_bit = Image.fromarray(np.arange(40 * 48).reshape(40, 48) % 2 == 1)
    assert one_bit.mode == "1"
    one_bit.save(tmp_path / "a.png")
    assert np.unique(read_picture(tmp_path / "a.png")).tolist() == [0, 255]


def test_a_palette_gives_its_colours(tmp_path):
    picture = Image.new("P", (48, 40), 1)
    picture.putpalette([9, 8, 7, 200, 100, 50] + [0] * 6)
    picture.save(tmp_path / "a.png")
    assert np.unique(read_picture(tmp_path / "a.png").reshape(-1, 3), axis=0).tolist() == [
        [200, 100, 50]
    ]


@pytest.mark.parametrize(("mode", "colour", "expected"), [
    pytest.param("LA", (200, 255), (200, 200, 200), id="grey, opaque"),
    pytest.param("LA", (200, 0), (0, 0, 0), id="grey, transparent"),
    pytest.param("LA", (200, 51), (40, 40, 40), id="grey, a fifth"),
    pytest.param("RGBA", (200, 100, 50, 255), (200, 100, 50), id="colour, opaque"),
    pytest.param("RGBA", (255, 255, 255, 0), (0, 0, 0), id="white, transparent"),
    pytest.param("RGBA", (200, 100, 50, 51), (40, 20, 10), id="colour, a fifth"),
])  # fmt: skip
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_what_is_transparent_is_black(tmp_path, suffix, mode, colour, expected):
    Image.new(mode, (48, 40), colour).save(tmp_path / f"a{suffix}")
    read = read_picture(tmp_path / f"a{suffix}")
    assert np.abs(read.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(("mode", "fill", "transparent"), [
    pytest.param("P", 3, 3, id="palette"),
    pytest.param("RGB", (9, 8, 7), (9, 8, 7), id="colour"),
    pytest.param("L", 9, 9, id="grey"),
])  # fmt: skip
def test_a_transparent_colour_of_a_png_is_black(tmp_path, mode, fill, transparent):
    picture = Image.new(mode, (48, 40), fill)
    if mode == "P":
        picture.putpalette([250] * 12)
    picture.save(tmp_path / "a.png", transparency=transparent)
    assert read_picture(tmp_path / "a.png").max() == 0


@pytest.mark.parametrize(("ink", "expected"), [
    pytest.param((0, 0, 0, 0), (255, 255, 255), id="no ink is white"),
    pytest.param((0, 255, 255, 0), (255, 0, 0), id="magenta and yellow are red"),
    pytest.param((0, 0, 0, 255), (0, 0, 0), id="black"),
])  # fmt: skip
def test_a_jpeg_of_four_inks_is_turned_into_light(tmp_path, ink, expected):
    Image.new("CMYK", (48, 40), ink).save(tmp_path / "a.jpg", quality=100)
    assert np.abs(read_picture(tmp_path / "a.jpg").astype(int) - expected).max() <= 3


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize(("samples", "expected"), [
    pytest.param((0, 32768, 65535), [0, 128, 255], id="16 bits"),
    pytest.param((0, 8192, 16383), [0, 128, 255], id="14 bits"),
    pytest.param((0, 2047, 4095), [0, 127, 255], id="12 bits"),
    pytest.param((0, 512, 1023), [0, 128, 255], id="10 bits"),
    pytest.param((0, 128, 255), [0, 128, 255], id="8 bits"),
    pytest.param((0, 1023, 3000), [0, 64, 187], id="12 bits, not used to the end"),
    pytest.param((0, 4095, 4096), [0, 64, 64], id="one too many for 12 bits"),
    pytest.param((0, 0, 0), [0, 0, 0], id="black"),
])  # fmt: skip
def test_16_bit_grey_is_scaled_by_the_depth_that_holds_it(tmp_path, suffix, samples, expected):
    path = write_rows(tmp_path / f"a{suffix}", samples, np.uint16)
    assert bands(read_picture(path), 3) == expected


def test_a_big_endian_tiff_is_read_alike(tmp_path):
    samples = np.repeat(np.array([0, 2047, 4095], np.uint16), 12)[:, None].repeat(40, 1)
    tifffile.imwrite(tmp_path / "a.tif", samples, byteorder=">")
    assert bands(read_picture(tmp_path / "a.tif"), 3) == [0, 127, 255]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize(("top", "expected"), [
    pytest.param(65535, 255, id="16 bits"),
    pytest.param(4095, 255, id="12 bits in 16"),
])  # fmt: skip
def test_16_bit_colour_is_scaled_as_grey_is(tmp_path, suffix, top, expected):
    samples = np.full((40, 48, 3), top, np.uint16)
    samples[:20] = 0
    if suffix == ".png":
        (tmp_path / "a.png").write_bytes(cv2.imencode(".png", samples)[1].tobytes())
    else:
        tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb")
    read = read_picture(tmp_path / f"a{suffix}")
    assert read[:20].max() == 0
    assert read[20:].min() == read.max() == expected


@pytest.mark.parametrize(("samples", "expected"), [
    pytest.param((0.0, 0.25, 1.0), [0, 64, 255], id="0 to 1"),
    pytest.param((0.0, 0.25, 0.5), [0, 64, 128], id="0 to a half"),
    pytest.param((0.0, 99.6, 255.0), [0, 100, 255], id="0 to 255"),
    pytest.param((0.0, 2047.5, 4095.0), [0, 128, 255], id="12 bits"),
    pytest.param((-3.0, 0.5, 1.0), [0, 128, 255], id="below zero"),
    pytest.param((np.nan, 0.5, 1.0), [0, 128, 255], id="not a number"),
])  # fmt: skip
def test_a_tiff_of_floating_point_numbers_is_scaled(tmp_path, samples, expected):
    path = write_rows(tmp_path / "a.tif", samples, np.float32)
    assert bands(read_picture(path), 3) == expected


TURNS = {  # from pixels as they are stored to pixels as they are shown, of the EXIF standard
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("number", TURNS)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_a_picture_is_turned_as_the_camera_says(tmp_path, number, suffix):
    stored = draw_noise(33, 50)
    exif = Image.Exif()
    exif[ORIENTATION] = number
    options = {"lossless": True} if suffix == ".webp" else {}
    Image.fromarray(stored).save(tmp_path / f"a{suffix}", exif=exif, **options)
    assert np.array_equal(read_picture(tmp_path / f"a{suffix}"), TURNS[number](stored))


def as_segment(exif):
    content = b"Exif\0\0" + exif
    return b"\xff\xe1" + (len(content) + 2).to_bytes(2, "big") + content


def write_exif(*entries):
    """A big-endian directory of (tag, type, count, four bytes)."""
    body = b"".join(struct.pack(">HHI4s", *entry) for entry in sorted(entries))
    return b"MM\0*\0\0\0\x08" + struct.pack(">H", len(entries)) + body + b"\0\0\0\0"


@pytest.mark.parametrize("number", TURNS)
def test_a_jpeg_is_turned_as_the_camera_says(tmp_path, number):
    stored = np.zeros((48, 64, 3), np.uint8)
    stored[:16, :16], stored[-16:, :16] = 250, (250, 0, 0)
    path = write_with_opencv(tmp_path / "a.jpg", stored)
    content = path.read_bytes()
    exif = write_exif((ORIENTATION, SHORT, 1, number.to_bytes(2, "big") + b"\0\0"))
    path.write_bytes(content[:2] + as_segment(exif) + content[2:])
    read, expected = read_picture(path), TURNS[number](stored)
    assert read.shape == expected.shape
    assert np.abs(read.astype(int) - expected).mean() < 2


@pytest.mark.parametrize("number", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_turns_nothing(tmp_path, number):
    exif = Image.Exif()
    exif[ORIENTATION] = number
    Image.fromarray(draw_noise(33, 50)).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_picture(tmp_path / "a.png"), draw_noise(33, 50))


@pytest.mark.parametrize("entry", [
    pytest.param((X_RESOLUTION, ASCII, 3, b"72\0\0"), id="a text in place of a number"),
    pytest.param((0x128, ASCII, 3, b"in\0\0"), id="a text in place of a unit"),
])  # fmt: skip
def test_a_camera_that_writes_odd_exif_values_does_not_hide_the_picture(tmp_path, entry):
    stored = draw_noise(33, 50)
    path = write_with_opencv(tmp_path / "a.jpg", stored)
    content = path.read_bytes()
    exif = write_exif((ORIENTATION, SHORT, 1, b"\0\x06\0\0"), entry)
    path.write_bytes(content[:2] + as_segment(exif) + content[2:])
    assert read_picture(path).shape == (50, 33, 3)


@pytest.mark.parametrize(("suffix", "options"), [
    (".tif", {}), (".webp", {"lossless": True}),
])  # fmt: skip
def test_the_first_of_several_pages_or_frames_is_taken(tmp_path, suffix, options):
    first, second = Image.fromarray(draw_noise()), Image.fromarray(draw_noise(seed=1))
    path = tmp_path / f"a{suffix}"
    first.save(path, save_all=True, append_images=[second], **options)
    with Image.open(path) as picture:
        assert picture.n_frames == 2
    assert np.array_equal(read_picture(path), draw_noise())


WHOLE = {  # of noise, so that every byte counts
    ".jpg": {"quality": 95}, ".png": {}, ".tif": {}, ".bmp": {}, ".webp": {"lossless": True},
}  # fmt: skip


@pytest.mark.parametrize("suffix", WHOLE)
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_truncated_picture_is_refused(tmp_path, suffix, kept):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(draw_noise(64, 64)).save(path, **WHOLE[suffix])
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ValueError, match=rf"a\{suffix} (can't be decoded whole|is not an image)"):
        read_picture(path)


@pytest.mark.parametrize("suffix", WHOLE)
def test_a_cut_at_any_place_is_refused_or_changes_no_pixel(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(draw_noise(33, 34)).save(path, **WHOLE[suffix])
    content, whole = path.read_bytes(), read_picture(path)
    for cut in [*range(1, 60), *range(60, len(content) // 2, 97)]:
        path.write_bytes(content[:-cut])
        try:
            read = read_picture(path)
        except ValueError as error:
            assert str(path) in str(error)
        else:
            assert np.array_equal(read, whole), f"{cut} bytes are missing"


@pytest.mark.filterwarnings("ignore")  # Pillow's, of what it finds in such files
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".bmp", ".webp"])
def test_damaged_files_are_refused_with_their_name_and_no_other_error(tmp_path, suffix):
    generator = np.random.default_rng(7)
    exif = Image.Exif()
    exif[ORIENTATION], exif[X_RESOLUTION], exif[0x131] = 6, 72.0, "program"
    path = tmp_path / f"a{suffix}"
    options = {} if suffix == ".bmp" else {"exif": exif}
    Image.fromarray(draw_noise(33, 34)).save(path, **options)
    content = path.read_bytes()
    refused = 0
    for _ in range(150):
        damaged = bytearray(content)
        for place in generator.integers(0, min(len(content), 250), generator.integers(1, 5)):
            damaged[place] = generator.integers(256)
        path.write_bytes(damaged)
        try:
            read_picture(path)
        except ValueError as error:
            refused += 1
            assert str(path) in str(error)
    assert refused > 10


@pytest.mark.parametrize("content", [
    pytest.param(b"", id="nothing"),
    pytest.param(b"<html>404</html>", id="a web page"),
    pytest.param("한국어 텍스트".encode(), id="a text"),
    pytest.param(b"\xff\xd8\xff\xd9", id="a JPEG without picture"),
    pytest.param(b"\x89PNG\r\n\x1a\n", id="a PNG without picture"),
    pytest.param(b"\0" * 4096, id="zeros"),
])  # fmt: skip
def test_what_is_no_picture_is_refused_by_name(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.jpg (is not an image|can't be decoded)"):
        read_picture(tmp_path / "a.jpg")


@pytest.mark.parametrize(("make", "error"), [
    pytest.param(lambda path: None, FileNotFoundError, id="nothing there"),
    pytest.param(lambda path: path.mkdir(), IsADirectoryError, id="a folder"),
])  # fmt: skip
def test_what_can_not_be_opened_is_named(tmp_path, make, error):
    make(tmp_path / "a.jpg")
    with pytest.raises(error, match=r"a\.jpg"):
        read_picture(tmp_path / "a.jpg")


@pytest.mark.parametrize("size", [(32, 32), (8000, 32), (32, 8000)])
def test_sides_of_32_to_8000_are_read(tmp_path, size):
    Image.new("L", size, 9).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").shape == (*size[::-1], 3)


@pytest.mark.parametrize("size", [(31, 40), (40, 31), (1, 1), (8001, 32), (32, 8001)])
def test_sides_beyond_are_refused_with_the_size(tmp_path, size):
    Image.new("L", size, 9).save(tmp_path / "a.png")
    words = rf"a\.png is {size[0]} x {size[1]} pixels; expected 32 to 8000 a side"
    with pytest.raises(ValueError, match=words):
        read_picture(tmp_path / "a.png")


def write_png_header(path, width, height):
    """A PNG of a few bytes that claims to be large."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(100))),
        (b"IEND", b""),
    ]
    parts = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [12_000, 60_000, 2**31 - 1])
def test_a_header_that_promises_too_many_pixels_is_refused(tmp_path, side):
    write_png_header(tmp_path / "a.png", side, side)
    with pytest.raises(ValueError, match=r"a\.png.*expected (32 to|at most) 8000 a side"):
        read_picture(tmp_path / "a.png")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [8001, 12_000, 60_000])
def test_a_jpeg_that_promises_too_many_pixels_is_refused(tmp_path, side):
    path = write_with_opencv(tmp_path / "a.jpg", draw_noise(40, 48))
    content = path.read_bytes()
    size = struct.pack(">HH", 40, 48)
    assert content.count(size) == 1
    path.write_bytes(content.replace(size, struct.pack(">HH", side, side)))
    with pytest.raises(ValueError, match=r"a\.jpg.*expected (32 to|at most) 8000 a side"):
        read_picture(path)


def test_a_file_larger_than_any_picture_is_not_read_into_memory(tmp_path):
    (tmp_path / "a.tif").touch()
    os.truncate(tmp_path / "a.tif", LARGEST_FILE + 1)
    with pytest.raises(ValueError, match=rf"a\.tif has {LARGEST_FILE + 1} bytes; expected at most"):
        read_picture(tmp_path / "a.tif")


@pytest.mark.parametrize("channels", [3, 4])
def test_a_small_file_of_many_deep_pixels_takes_little_memory(tmp_path, channels):
    pixels = np.zeros((1000, 1000, channels), np.uint16)
    pixels[0, 0] = 65535
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    tracemalloc.start()
    try:
        read_picture(tmp_path / "a.png")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5 * pixels.nbytes  # as float64 at once it would be twelve times that


def test_a_png_whose_texts_unpack_to_too_much_is_refused_by_name(tmp_path):
    body = b"Comment\0\0" + zlib.compress(bytes(80_000_000), 1)
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body
    chunk += struct.pack(">I", zlib.crc32(b"zTXt" + body))
    path = write_with_opencv(tmp_path / "a.png", draw_noise())
    content = path.read_bytes()
    path.write_bytes(content[:33] + chunk + content[33:])  # after the header
    with pytest.raises(ValueError, match=r"a\.png"):
        read_picture(path)


NAMES = [
    "폴립 사진", "صورة", "息肉", "Größe", "🙂", "e\u0301",
    "a b", "-rf", "[x]", "a.b.c", "%d", "#1", "*",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_may_have_any_letters(tmp_path, monkeypatch, name):
    write_with_opencv(tmp_path / "a.png", draw_noise()).rename(tmp_path / f"{name}.png")
    monkeypatch.chdir(tmp_path)
    for given in (f"{name}.png", ".", "*.png", str(tmp_path)):
        (source,) = list_sources([given])
        assert source == (tmp_path / f"{name}.png", name)
        assert np.array_equal(read_picture(source.path), draw_noise())


def test_names_of_bytes_that_are_no_text_are_listed(tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"\xc6\xfa\xb8\xb3.png")  # a Korean name in cp949
    try:
        with open(path, "wb") as stream:
            stream.write(cv2.imencode(".png", draw_noise())[1].tobytes())
    except OSError:
        pytest.skip("the file system takes names in UTF-8 only")
    (source,) = list_sources([str(tmp_path)])
    assert os.fsencode(source.path) == path
    assert read_picture(source.path).shape == (40, 48, 3)


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def names_of(*given):
    return [source.name for source in list_sources(map(str, given))]


def test_a_folder_gives_pictures_and_videos_below_it_sorted(tmp_path):
    touch(tmp_path, "b.JPG", "a.png", "deep/er/c.Tiff", "deep/d.mp4", "deep/e.AVI")
    touch(tmp_path, "notes.txt", "table.csv", "deep/mask.npy", "no_suffix", ".hidden")
    (tmp_path / "folder.jpg").mkdir()
    assert names_of(tmp_path) == ["a", "b", "deep/d", "deep/e", "deep/er/c"]


def test_every_promised_suffix_is_found_in_a_folder(tmp_path):
    suffixes = [".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".mp4", ".avi", ".mov"]
    touch(tmp_path, *(f"{n}{suffix}" for n, suffix in enumerate(suffixes)))
    assert len(list_sources([str(tmp_path)])) == len(suffixes)


def test_videos_are_told_from_pictures_by_their_suffix(tmp_path):
    touch(tmp_path, "a.mp4", "b.MOV", "c.jpg")
    assert [is_video(s.path) for s in list_sources([str(tmp_path)])] == [True, True, False]


def test_a_file_that_is_named_is_taken_whatever_its_suffix(tmp_path):
    touch(tmp_path, "scan.dat")
    assert list_sources([str(tmp_path / "scan.dat")]) == [(tmp_path / "scan.dat", "scan")]


@pytest.mark.parametrize(("pattern", "expected"), [
    ("*.jpg", ["a1", "a2"]), ("a?.*", ["a1", "a2", "a3"]), ("a[13].*", ["a1", "a3"]),
    ("**/*.jpg", ["a1", "a2", "c"]), ("sub/*", ["c"]),
])  # fmt: skip
def test_patterns_are_resolved_here_where_the_shell_did_not(tmp_path, pattern, expected):
    touch(tmp_path, "a1.jpg", "a2.jpg", "a3.png", "sub/c.jpg")
    assert sorted(names_of(tmp_path / pattern)) == expected


def test_brackets_are_a_name_where_there_is_such_a_file_or_folder(tmp_path):
    touch(tmp_path, "[x].jpg", "x.jpg", "[d]/y.jpg", "d/z.jpg")
    assert names_of(tmp_path / "[x].jpg") == ["[x]"]
    assert names_of(tmp_path / "[d]") == ["y"]
    (tmp_path / "[x].jpg").unlink()
    assert names_of(tmp_path / "[x].jpg") == ["x"]


def test_what_is_given_twice_is_taken_once(tmp_path, monkeypatch):
    touch(tmp_path, "sub/a.jpg", "b.jpg")
    monkeypatch.chdir(tmp_path)
    given = ["sub/a.jpg", str(tmp_path / "sub" / "a.jpg"), "sub/../sub/a.jpg", "sub", "*.jpg", "."]
    assert names_of(*given) == ["a", "b"]


def test_a_link_to_a_picture_that_is_there_is_no_second_one(tmp_path):
    touch(tmp_path, "a.jpg")
    (tmp_path / "b.jpg").symlink_to(tmp_path / "a.jpg")
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "nowhere.jpg")
    assert names_of(tmp_path) == ["a"]


@pytest.mark.parametrize(("files", "expected"), [
    pytest.param(["a.jpg", "b.png"], ["a", "b"], id="different"),
    pytest.param(["a.jpg", "a.png"], ["a.jpg", "a.png"], id="two suffixes"),
    pytest.param(["a.jpg", "a.mp4"], ["a.jpg", "a.mp4"], id="picture and video"),
    pytest.param(["s/a.jpg", "t/a.jpg"], ["s/a", "t/a"], id="two folders"),
    pytest.param(["a.x.jpg", "a.y.jpg"], ["a.x", "a.y"], id="dots"),
])  # fmt: skip
def test_names_keep_their_suffix_only_where_they_would_be_equal(tmp_path, files, expected):
    touch(tmp_path, *files)
    assert names_of(tmp_path) == expected


def test_names_that_differ_in_case_alone_are_told_apart(tmp_path):
    touch(tmp_path, "a.jpg", "A.jpg")
    if len(list(tmp_path.iterdir())) == 1:
        pytest.skip("this file system does not tell A from a")
    assert names_of(tmp_path) == ["A.jpg", "a.jpg-2"]


def test_files_of_one_name_from_several_places_get_numbers(tmp_path):
    touch(tmp_path, "p/a.jpg", "q/a.jpg", "r/a.jpg", "s/a.jpg-2.png", "t/A.jpg-3")
    given = [tmp_path / name for name in ("p/a.jpg", "q/a.jpg", "s/a.jpg-2.png", "r/a.jpg")]
    names = names_of(*given, tmp_path / "t/A.jpg-3")
    assert names[0] == "a.jpg" and len(names) == 5
    assert len({name.casefold() for name in names}) == 5


def test_no_two_outputs_have_one_name_whatever_the_files_are_called(tmp_path):
    generator = np.random.default_rng(3)
    for trial in range(20):
        folder = tmp_path / str(trial)
        stems = generator.choice(["a", "A", "a-2", "a.jpg", "a.jpg-2", "b"], 12)
        suffixes = generator.choice([".jpg", ".JPG", ".png", ".mp4"], 12)
        places = generator.integers(3, size=12)
        for stem, suffix, place in zip(stems, suffixes, places, strict=True):
            touch(folder, f"{place}/{stem}{suffix}")
        files = sorted(folder.glob("*/*"))
        names = names_of(*files)
        assert len({name.casefold() for name in names}) == len(names) == len(files)


@pytest.mark.parametrize("given", ["nowhere.jpg", "empty", "*.jpg", "[", "notes"])
def test_what_matches_nothing_is_named_with_what_is_expected(tmp_path, monkeypatch, given):
    (tmp_path / "empty").mkdir()
    touch(tmp_path, "notes/readme.txt", "there.png")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError) as error:
        list_sources(["there.png", given])
    assert str(error.value).startswith(f"{given}: no such file")
    assert ".jpg" in str(error.value) and ".mp4" in str(error.value)


def test_an_empty_text_is_no_folder(tmp_path, monkeypatch):
    touch(tmp_path, "a.jpg")
    monkeypatch.chdir(tmp_path)  # a variable of the shell that is not set must not mean "all here"
    with pytest.raises(FileNotFoundError):
        list_sources([""])
