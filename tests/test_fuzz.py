"""Damaged files by the thousand: what is read is whole, or refused with the file's name.

Valid files are cut, flipped, doubled and mixed up at random places, from the same seed in every
run. Any error but ValueError and OSError fails, as does a message without the file. A longer run
is one command: EFFISEG_FUZZ_SECONDS=300 python -m pytest tests/test_fuzz.py
"""

import hashlib
import io
import os
import struct
import time
import zipfile
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from effiseg.archive import fetch_kvasir
from effiseg.images import read_image, read_mask
from effiseg.labelled import read_label
from effiseg.pictures import LARGEST, SMALLEST, read_picture

SECONDS = float(os.environ.get("EFFISEG_FUZZ_SECONDS", "4"))  # a target
TELLING = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)  # bytes at the limits of numbers
SIDES = 36, 40

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow's and zipfile's, of what they find


def flip_bits(generator, content):
    for place in generator.integers(0, len(content), generator.integers(1, 6)):
        content[place] ^= 1 << generator.integers(8)


def set_bytes(generator, content):
    start = generator.integers(len(content))
    for place in range(start, min(start + generator.integers(1, 9), len(content))):
        content[place] = generator.choice(TELLING)


def set_early_bytes(generator, content):
    """Most headers lie at the start, and much of each file is pixels."""
    for place in generator.integers(0, min(len(content), 200), generator.integers(1, 4)):
        content[place] = generator.choice(TELLING) if generator.random() < 0.5 else (
            generator.integers(256)
        )


def cut_off(generator, content):
    del content[generator.integers(1, len(content) + 1) :]


def cut_out(generator, content):
    start = generator.integers(len(content))
    del content[start : start + generator.integers(1, 65)]


def double(generator, content):
    start, place = generator.integers(0, len(content), 2)
    content[place:place] = content[start : start + generator.integers(1, 257)]


def insert(generator, content):
    place = generator.integers(len(content) + 1)
    content[place:place] = generator.bytes(generator.integers(1, 33))


DAMAGES = (flip_bits, set_bytes, set_early_bytes, cut_off, cut_out, double, insert)


def damage(generator, content):
    content = bytearray(content)
    for kind in generator.integers(0, len(DAMAGES), generator.integers(1, 4)):
        if content:
            DAMAGES[kind](generator, content)
    return bytes(content)


def fuzz(path, samples, read, check, seed):
    """Read damaged samples until the time is over; `check` what is not refused."""
    generator = np.random.default_rng(seed)
    end, taken, refused = time.monotonic() + SECONDS, 0, 0
    while time.monotonic() < end:
        path.write_bytes(damage(generator, samples[generator.integers(len(samples))]))
        try:
            found = read(path)
        except (ValueError, OSError) as error:
            refused += 1
            assert str(path) in str(error)
        else:
            taken += 1
            check(found)
    assert taken and refused, "the damage is too great, or too small"


# ------------------------------------------------------------------ samples


def draw():
    """A smooth image: its files are small, and their headers a large part of them."""
    noise = np.random.default_rng(0).integers(0, 256, (*SIDES, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 5)


def draw_mask():
    mask = np.zeros(SIDES, np.uint8)
    mask[8:25, 10:30] = 255
    return mask


def by_pillow(pixels, kind, mode=None, **options):
    picture = Image.fromarray(pixels)
    buffer = io.BytesIO()
    (picture.convert(mode) if mode else picture).save(buffer, kind, **options)
    return buffer.getvalue()


def by_tifffile(pixels, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


def by_opencv(suffix, pixels):
    return cv2.imencode(suffix, pixels)[1].tobytes()


def write_exif():
    exif = Image.Exif()
    exif[0x112], exif[0x11A], exif[0x131] = 6, 72.0, "program"
    return exif


def list_jpegs():
    yield by_pillow(draw(), "JPEG", exif=write_exif())
    yield by_pillow(draw(), "JPEG", progressive=True, subsampling=0)
    yield by_pillow(draw(), "JPEG", "CMYK")
    yield by_pillow(draw(), "JPEG", "L", restart_marker_blocks=2)


def list_pngs():
    yield by_pillow(draw(), "PNG", exif=write_exif())
    yield by_pillow(draw(), "PNG", "P", transparency=0)
    yield by_pillow(draw(), "PNG", "1")
    yield by_pillow(np.dstack([draw(), draw()[..., :1]]), "PNG")
    deep = by_opencv(".png", draw().astype(np.uint16) * 200)
    yield deep
    animation = b"acTL" + struct.pack(">II", 1, 0)  # OpenCV reads what follows in another way
    animation = struct.pack(">I", 8) + animation + struct.pack(">I", zlib.crc32(animation))
    yield deep[:33] + animation + deep[33:]
    yield by_pillow(draw(), "PNG", save_all=True, append_images=[Image.fromarray(draw()[::-1])])


def list_tiffs():
    yield by_pillow(draw(), "TIFF", exif=write_exif())
    for compression in ("lzw", "zlib", "packbits", "jpeg"):
        name = {"zlib": "tiff_adobe_deflate", "lzw": "tiff_lzw"}.get(compression, compression)
        yield by_pillow(draw(), "TIFF", compression=name)
    yield by_tifffile(draw(), tile=(16, 16), photometric="rgb", byteorder=">")
    yield by_tifffile(draw().astype(np.uint16) * 200, photometric="rgb")
    yield by_tifffile(draw()[..., 0].astype(np.float32) / 255)
    yield by_tifffile(draw()[..., 0].astype(np.int32) * 70, bigtiff=True)


def list_others():
    yield by_pillow(draw(), "BMP")
    yield by_pillow(draw(), "BMP", "P")
    yield by_pillow(np.dstack([draw(), draw()[..., :1]]), "BMP")
    yield by_pillow(draw(), "WEBP", exif=write_exif())
    yield by_pillow(np.dstack([draw(), draw()[..., :1]]), "WEBP", lossless=True)
    yield by_pillow(draw(), "WEBP", save_all=True, append_images=[Image.fromarray(draw()[::-1])])


def list_masks():
    for mask in (draw_mask(), draw_mask() // 255, np.dstack([draw_mask()] * 3)):
        yield by_pillow(mask, "PNG")
        yield by_pillow(mask, "TIFF")
        yield by_pillow(mask, "BMP")
    yield by_pillow(draw_mask(), "JPEG", quality=95)
    yield by_pillow(draw_mask(), "PNG", "1")


# ------------------------------------------------------------------ targets


def check_picture(found):
    assert found.dtype == np.uint8 and found.ndim == 3 and found.shape[2] == 3
    assert all(SMALLEST <= side <= LARGEST for side in found.shape[:2])


@pytest.mark.parametrize("samples", [
    pytest.param([*list_jpegs(), *list_pngs()], id="jpeg and png"),
    pytest.param([*list_tiffs(), *list_others()], id="tiff, bmp and webp"),
])  # fmt: skip
def test_damaged_pictures_of_users(tmp_path, samples):
    fuzz(tmp_path / "a.png", samples, read_picture, check_picture, seed=[1, len(samples)])


def test_damaged_images_of_the_pipeline(tmp_path):
    def check(found):
        assert found.dtype == np.uint8 and found.ndim == 3 and max(found.shape[:2]) <= LARGEST

    samples = [*list_jpegs(), *list_pngs(), by_pillow(draw(), "GIF"), by_pillow(draw(), "TIFF")]
    fuzz(tmp_path / "a.jpg", samples, read_image, check, seed=2)


def test_damaged_masks_of_the_pipeline(tmp_path):
    def check(found):
        assert found.dtype == np.bool_ and found.ndim == 2 and max(found.shape) <= LARGEST

    fuzz(tmp_path / "a.jpg", list(list_masks()), read_mask, check, seed=3)


def test_damaged_masks_of_users(tmp_path):
    def check(found):
        assert found.dtype == np.bool_ and found.shape == SIDES

    read = lambda path: read_label(path, *SIDES)  # noqa: E731
    fuzz(tmp_path / "a.png", list(list_masks()), read, check, seed=4)


FILES = {
    "images/a.jpg": bytes(range(256)), "images/b.jpg": b"second image" * 9,
    "masks/a.jpg": b"first mask", "masks/b.jpg": b"", "kavsir_bboxes.json": b"{}",
}  # fmt: skip


def pack(method, top):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as packed:
        for name, content in FILES.items():
            packed.writestr(top + name, content)
    return buffer.getvalue()


def test_damaged_archives(tmp_path):
    manifest, raw = tmp_path / "files.sha256", tmp_path / "data" / "raw"
    manifest.write_text("".join(
        f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in FILES.items()
    ))

    def read_tree():
        files = (path for path in tmp_path.rglob("*") if path.is_file())
        return {p.relative_to(tmp_path).as_posix(): p.read_bytes() for p in files}

    def read(path):
        before = {f"data/raw/{name}": content for name, content in FILES.items()}
        before |= {name: (tmp_path / name).read_bytes() for name in ("copy.zip", "files.sha256")}
        try:
            fetch_kvasir(raw, manifest, path, lambda done, total: None, tmp_path / "downloads")
        finally:
            after = read_tree()
            after.pop("downloads/fetch.lock", None)
            assert after == before  # nothing is half-written, and nothing lies elsewhere

    (tmp_path / "copy.zip").write_bytes(pack(zipfile.ZIP_DEFLATED, ""))
    fetch_kvasir(raw, manifest, tmp_path / "copy.zip", lambda done, total: None, tmp_path / "down")
    (tmp_path / "down" / "fetch.lock").unlink(missing_ok=True)
    samples = [
        pack(method, top)
        for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2)
        for top in ("Kvasir-SEG/", "")
    ]
    fuzz(tmp_path / "copy.zip", samples, read, lambda found: None, seed=5)
