"""What a file is: told by content, so that no codec gets what it should not open."""

from __future__ import annotations

import io
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
from PIL import Image

from variflow.io import ImageFileError, read_frames, read_image
from variflow.io.content import identify, identify_start

CORPUS = sorted((Path(__file__).parent / "fuzz" / "corpus").iterdir())


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_the_corpus_is_told(path):
    kinds = {
        **dict.fromkeys((".png", ".tif", ".jpg", ".pgm", ".ppm", ".webp", ".gif", ".pfm"), "image"),
        **dict.fromkeys((".npy", ".flo5", ".h5", ".nc"), "array"),
        **dict.fromkeys((".flo", ".npz", ".exr"), "flow"),
        **dict.fromkeys((".mp4", ".mkv"), "video"),
        ".json": "text",
        ".gz": "other",
    }
    assert identify(path).kind == kinds[path.suffix]


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (300, 2)])
@pytest.mark.parametrize("mode", ["L", "RGB", "P", "1"])
@pytest.mark.parametrize(
    "kind", ["PNG", "TIFF", "JPEG", "GIF", "BMP", "PPM", "PCX", "TGA", "SGI", "WEBP", "JPEG2000", "QOI", "AVIF"]
)
def test_what_pillow_writes_is_what_it_may_read(kind, mode, size):
    written = io.BytesIO()
    try:
        Image.new(mode, size).save(written, kind)
    except (KeyError, OSError, ValueError):
        pytest.skip(f"Pillow writes no {mode} as {kind}")
    start = written.getvalue()[:1024]
    assert identify_start(start).kind == "image"
    assert kind == "TIFF" or kind in identify_start(start).decoders


@pytest.mark.parametrize(
    ("start", "kind", "name"),
    [
        (b"", "other", "an empty file"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "other", "a page in PostScript"),
        (b"\xc5\xd0\xd3\xc6" + bytes(28), "other", "a page in PostScript"),
        (b"%!PSftypavif", "other", "a page in PostScript"),  # and no AVIF, which Pillow would take for a page
        (b"%!PS\0\0\0\0WEBP", "other", "a page in PostScript"),
        (b"%PDF-1.7", "other", "a PDF"),
        (b"\0\0\1\0ftypisom", "video", "a video (MP4 or QuickTime)"),  # and no icon
        (b"\0\0\0\x18ftypheic", "other", "a picture (HEIC)"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "text", "a text file"),
        ("größer, año".encode(), "text", "a text file"),
        ("größer".encode("utf-16"), "text", "a text file"),
        (("ü" * 512).encode()[:1023], "text", "a text file"),  # cut within a character
        (b"P5x is no picture", "text", "a text file"),
        (b"BMX is no picture either, but a bicycle", "text", "a text file"),
        (bytes(range(200, 255)), "unknown", "a file of no known kind"),
        (b"\x1f\x8b\x08", "other", "a file compressed by gzip"),
    ],
)
def test_what_is_no_image(start, kind, name):
    found = identify_start(start)
    assert (found.kind, found.name, found.decoders) == (kind, name, ())


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n0 0 8 8 rectfill\nshowpage\n%%EOF\n"


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tga", "a.eps", "a.mp4", "a"])
@pytest.mark.parametrize("start", [b"", b"\xc5\xd0\xd3\xc6" + bytes(26)], ids=["plain", "with a preview"])
def test_no_page_is_handed_to_another_program(tmp_path, monkeypatch, name, start):
    def run(*_: object, **__: object) -> None:
        pytest.fail("another program was started")

    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", run)
    monkeypatch.setattr("subprocess.Popen", run)
    (tmp_path / name).write_bytes(start + EPS)
    for read in (read_image, read_frames, lambda path: read_frames([path])[0]):
        with pytest.raises(ImageFileError, match="is a page in PostScript, no image"):
            read(tmp_path / name)


def test_the_name_says_nothing(tmp_path):
    frame = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    for kind in ("bmp", "gif", "tga", "ppm", "pcx"):
        imageio.imwrite(tmp_path / f"a.{kind}", frame, plugin="pillow")
        (tmp_path / f"a.{kind}").rename(tmp_path / "a.jpg")
        assert read_image(tmp_path / "a.jpg").shape == frame.shape
        assert kind == "gif" or np.array_equal(read_image(tmp_path / "a.jpg"), frame)
