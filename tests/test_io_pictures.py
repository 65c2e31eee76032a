"""Pictures that are no TIFF: the right pixels against another decoder, the same by `read_image` and `read_frames`."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image, ImageSequence, features

from variflow import VariflowWarning
from variflow.io import ImageFileError, read_frames, read_image

random = np.random.default_rng(0)
GRAY = random.integers(0, 256, (20, 24), np.uint8)
COLOR = random.integers(0, 256, (20, 24, 3), np.uint8)
ALPHA = random.integers(0, 256, (20, 24, 4), np.uint8)
DEEP = random.integers(0, 65536, (20, 24, 3), np.uint16)


def check(path: Path, wanted: np.ndarray | list) -> None:
    """The frames of a file are those wanted, with their type, whichever function reads them."""
    wanted = wanted if isinstance(wanted, list) else [wanted]
    frames = read_frames(path)
    assert len(frames) == len(wanted)
    for frame, image in zip(frames, wanted, strict=True):
        assert (frame.dtype, frame.shape) == (image.dtype, image.shape)
        assert np.array_equal(frame, image)
        assert frame.flags["WRITEABLE"]
    if len(wanted) == 1:
        image = read_image(path)
        assert image.dtype == wanted[0].dtype
        assert np.array_equal(image, wanted[0])
    else:
        with pytest.raises(ImageFileError, match=f"holds {len(wanted)} images, wanted one"):
            read_image(path)


def indexed(colors: int) -> Image.Image:
    return Image.fromarray(COLOR).quantize(colors)


# ---- PNG ------------------------------------------------------------------------------------------------------------


def png(path: Path, samples: np.ndarray, bits: int, kind: int, *chunks: tuple[bytes, bytes], interlaced=False) -> None:
    """Write a PNG of any depth, which other writers would not."""
    height, width = samples.shape[:2]

    def rows(part: np.ndarray) -> bytes:
        flat = part.reshape(len(part), -1)
        if bits == 16:
            packed = [row.astype(">u2").tobytes() for row in flat]
        else:
            every = (flat[..., None] >> np.arange(bits)[::-1]) & 1
            packed = [np.packbits(row.astype(np.uint8)).tobytes() for row in every.reshape(len(part), -1)]
        return b"".join(b"\0" + row for row in packed)

    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    parts = [samples[y::dy, x::dx] for y, x, dy, dx in passes] if interlaced else [samples]
    data = zlib.compress(b"".join(rows(part) for part in parts if part.size))
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, int(interlaced))
    content = b"\x89PNG\r\n\x1a\n"
    for name, body in ((b"IHDR", header), *chunks, (b"IDAT", data), (b"IEND", b"")):
        content += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    path.write_bytes(content)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_png_of_every_depth(tmp_path, bits, interlaced):
    values = (DEEP >> (16 - bits)).astype(np.uint16)
    step = 1 if bits >= 8 else 255 // (2**bits - 1)
    as_read = (values * step).astype(np.uint16 if bits == 16 else np.uint8)
    path = tmp_path / "a.png"
    png(path, values[..., 0], bits, 0, interlaced=interlaced)
    check(path, as_read[..., 0])
    png(path, values[..., 0], bits, 0, (b"tRNS", struct.pack(">H", int(values[0, 0, 0]))), interlaced=interlaced)
    check(path, as_read[..., 0])
    if bits >= 8:
        png(path, values, bits, 2, interlaced=interlaced)
        check(path, as_read)
        png(path, values, bits, 2, (b"tRNS", struct.pack(">3H", *map(int, values[0, 0]))), interlaced=interlaced)
        check(path, as_read)
        png(path, values[..., :2], bits, 4, interlaced=interlaced)
        check(path, as_read[..., 0])
        png(path, np.concatenate([values, values[..., :1]], -1), bits, 6, interlaced=interlaced)
        check(path, as_read)
    if bits <= 8:
        colors = random.integers(0, 256, (2**bits, 3), np.uint8)
        png(path, values[..., 0], bits, 3, (b"PLTE", colors.tobytes()), interlaced=interlaced)
        check(path, colors[values[..., 0]])
        some = (b"tRNS", bytes(range(0, 2**bits, 2)))
        png(path, values[..., 0], bits, 3, (b"PLTE", colors.tobytes()), some, interlaced=interlaced)
        check(path, colors[values[..., 0]])


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
@pytest.mark.parametrize("hidden", [False, True])
def test_an_animated_png_has_all_its_frames(tmp_path, mode, hidden):
    """A part of the canvas changes at a time; a first picture may be there only for those that know no animation."""
    images = [Image.fromarray(COLOR).convert(mode)]
    for time in range(1, 4):
        images.append(images[-1].copy())
        images[-1].paste(images[0].crop((0, 0, 5, 4)), (3 * time, 2 * time))
    images[0].save(tmp_path / "a.png", save_all=True, append_images=images[1:], default_image=hidden, duration=40)
    wanted = [np.array(image.convert("RGB")) for image in images[hidden:]]
    if mode == "RGBA":
        wanted = [image[..., :3] for image in wanted]
    check(tmp_path / "a.png", wanted)
    images[0].save(tmp_path / "b.png", save_all=True)
    assert len(read_frames(tmp_path / "b.png")) == 1


def test_an_animated_png_that_claims_what_it_has_not(tmp_path):
    images = [Image.fromarray(np.roll(COLOR, time, 0)) for time in range(3)]
    images[0].save(tmp_path / "a.png", save_all=True, append_images=images[1:])
    content = (tmp_path / "a.png").read_bytes()
    place = content.index(b"acTL") + 4
    (tmp_path / "b.png").write_bytes(content[:place] + b"\x16" + content[place + 1 :])
    place = content.index(b"IDAT") - 4
    (tmp_path / "c.png").write_bytes(content[:place] + b"\x7f" + content[place + 1 :])
    for name in ("b.png", "c.png"):
        with pytest.raises(ImageFileError, match="an animated PNG that is damaged"):
            read_frames(tmp_path / name)


def test_an_animated_png_of_sixteen_bits_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(imagecodecs.apng_encode(np.stack([DEEP, DEEP[::-1]])))
    with pytest.raises(ImageFileError, match="an animated PNG of 16 bits"):
        read_frames(tmp_path / "a.png")


# ---- animations -----------------------------------------------------------------------------------------------------


def test_gifs_whose_frames_are_parts(tmp_path):
    images = [Image.fromarray(COLOR).quantize(64).convert("RGB")]
    for time in range(1, 5):
        images.append(images[-1].copy())
        images[-1].paste((255, 10 * time, 0), (time, time, time + 6, time + 3))
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], optimize=True, disposal=1)
    with Image.open(tmp_path / "a.gif") as file:
        wanted = [np.array(frame.convert("RGB")) for frame in ImageSequence.Iterator(file)]
    check(tmp_path / "a.gif", wanted)
    images[0].save(tmp_path / "b.gif")
    with Image.open(tmp_path / "b.gif") as file:
        check(tmp_path / "b.gif", np.array(file.convert("RGB")))


def test_animated_webp(tmp_path):
    images = [Image.fromarray(np.roll(COLOR, time, 0)) for time in range(4)]
    images[0].save(tmp_path / "a.webp", save_all=True, append_images=images[1:], lossless=True)
    check(tmp_path / "a.webp", [np.array(image) for image in images])


def test_pictures_behind_a_jpeg(tmp_path):
    smooth = [Image.new("RGB", (24, 20), (40 * time, 90, 200)) for time in range(3)]
    small = Image.new("RGB", (6, 5))
    smooth[0].save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=smooth[1:])
    assert [int(frame[0, 0, 0]) for frame in read_frames(tmp_path / "a.jpg")] == pytest.approx([0, 40, 80], abs=4)
    smooth[1].save(tmp_path / "b.jpg", "MPO", save_all=True, append_images=[small])  # as telephones write
    with pytest.warns(VariflowWarning, match="pictures of 24 x 20 pixels are read, and left out: 6 x 5"):
        assert read_image(tmp_path / "b.jpg").shape == (20, 24, 3)


@pytest.mark.parametrize("name", ["a.jpg", "a.mjpeg", "frame1.jpeg"])
def test_jpegs_one_after_the_other_are_a_video(tmp_path, name):
    pytest.importorskip("av")
    stream = [jpeg(np.full((16, 24, 3), 60 * time, np.uint8)) for time in range(4)]
    (tmp_path / name).write_bytes(b"".join(stream))
    assert [int(frame[0, 0, 0]) for frame in read_frames(tmp_path / name)] == pytest.approx([0, 60, 120, 180], abs=3)
    with pytest.raises(ImageFileError, match=r"is a video \(Motion JPEG\), no single image"):
        read_image(tmp_path / name)


def test_what_follows_a_jpeg_and_is_no_frame(tmp_path):
    image = np.full((16, 24, 3), 90, np.uint8)
    for tail in (b"\xff\xd8\xff", jpeg(image[:8]), jpeg(image)[:10], b"\0" * 99 + jpeg(image)):
        (tmp_path / "a.jpg").write_bytes(jpeg(image) + tail)
        check(tmp_path / "a.jpg", image)


def jpeg(image: np.ndarray) -> bytes:
    written = io.BytesIO()
    Image.fromarray(image).save(written, "JPEG", quality=98)
    return written.getvalue()


# ---- the older formats ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA"])
@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.bmp", {}),
        ("a.tga", {}),
        ("a.tga", {"compression": "tga_rle"}),
        ("a.tga", {"orientation": 1}),
        ("a.pcx", {}),
        ("a.gif", {}),
        ("a.webp", {"lossless": True}),
        ("a.sgi", {}),
        ("a.ico", {"sizes": [(24, 20)]}),
        ("a.jp2", {"irreversible": False}),
        ("a.dds", {}),
        ("a.qoi", {}),
    ],
)
def test_what_pillow_writes(tmp_path, name, how, mode):
    """The colours of a palette; bits below eight fill the range; alpha is dropped."""
    image = indexed(16) if mode == "P" else Image.fromarray(ALPHA).convert(mode)
    try:
        image.save(tmp_path / name, **how)
    except (OSError, ValueError, KeyError):
        pytest.skip("not written")
    with Image.open(tmp_path / name) as stored:
        gray = stored.mode in ("1", "L", "LA")
        wanted = np.array(stored.convert("L" if gray else "RGB"))
    check(tmp_path / name, wanted)
    if name.endswith(("bmp", "tga", "pcx")) and mode in ("1", "L", "P", "RGB"):
        exact = np.array(image.convert("L" if gray else "RGB"))
        assert np.array_equal(wanted, exact)


@pytest.mark.parametrize("name", ["a.tga", "a.pcx", "a.bmp"])
def test_palettes_of_old_formats_become_colours(tmp_path, name):
    indexed(16).save(tmp_path / name)
    check(tmp_path / name, np.array(indexed(16).convert("RGB")))


def test_jpegs_of_every_kind(tmp_path):
    y, x = np.mgrid[:40, :48]
    smooth = np.stack([4 * x, 3 * y, x + y], axis=-1).astype(np.uint8)
    image = Image.fromarray(smooth)
    for number, (mode, how) in enumerate(
        [("L", {}), ("RGB", {}), ("CMYK", {}), ("RGB", {"progressive": True}), ("RGB", {"subsampling": 2})]
    ):
        path = tmp_path / f"{number}.jpg"
        image.convert(mode).save(path, quality=98, **how)
        with Image.open(path) as file:
            wanted = np.array(file.convert("L" if mode == "L" else "RGB"))
        check(path, wanted)
        assert (
            np.abs(wanted.astype(int) - np.array(image.convert(mode).convert("L" if mode == "L" else "RGB"))).mean() < 3
        )


# ---- text and numbers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("largest", [1, 15, 200, 255, 256, 4095, 65535])
@pytest.mark.parametrize("kind", [2, 3, 5, 6])
def test_pgm_and_ppm_as_text_and_as_bytes(tmp_path, largest, kind):
    image = random.integers(0, largest, (4, 5, 3), np.uint16, endpoint=True)
    image = image.astype(np.uint8 if largest < 256 else np.uint16)
    image = image if kind in (3, 6) else image[..., 0]
    header = f"P{kind}\n# a remark\n5 4 # another\n{largest}\n".encode()
    if kind < 5:
        body = "\n".join(map(str, image.ravel())).encode() + b"\n# the end\n"
    else:
        body = image.astype(np.uint8 if largest < 256 else ">u2").tobytes()
    (tmp_path / "a.pnm").write_bytes(header + body)
    check(tmp_path / "a.pnm", image)
    (tmp_path / "b.pnm").write_bytes(header + body[: len(body) // 2])
    with pytest.raises(ImageFileError, match="truncated"):
        read_image(tmp_path / "b.pnm")
    if kind > 4:
        (tmp_path / "c.pnm").write_bytes((header + body) * 3 + b"\n")
        check(tmp_path / "c.pnm", [image] * 3)


@pytest.mark.parametrize("width", [1, 7, 8, 9, 24])
def test_pbm_as_text_and_as_bits(tmp_path, width):
    black = random.random((5, width)) < 0.5
    wanted = np.where(black, 0, 255).astype(np.uint8)
    (tmp_path / "a.pbm").write_bytes(f"P4 {width} 5\n".encode() + np.packbits(black, axis=1).tobytes())
    check(tmp_path / "a.pbm", wanted)
    with Image.open(tmp_path / "a.pbm") as file:
        assert np.array_equal(np.array(file.convert("L")), wanted)
    for gap in (" ", ""):
        text = "\n".join(gap.join("01"[bit] for bit in row) for row in black.astype(int))
        (tmp_path / "a.pbm").write_text(f"P1\n# remark\n{width} 5\n{text}\n")
        check(tmp_path / "a.pbm", wanted)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pfm_keeps_its_numbers(tmp_path, order, channels):
    image = random.normal(0, 100, (4, 5, channels)).astype(np.float32)
    image = image[..., 0] if channels == 1 else image
    header = f"P{'f' if channels == 1 else 'F'}\n5 4\n{'-' if order == '<' else ''}1.0\n".encode()
    (tmp_path / "a.pfm").write_bytes(header + image[::-1].astype(f"{order}f4").tobytes())
    check(tmp_path / "a.pfm", image)


@pytest.mark.parametrize(
    "content",
    [
        b"P5 2 2",
        b"P5\n0 2\n255\n",
        b"P5\n2 2\n70000\n" + bytes(9),
        b"P2\n2 1\n9\n3 10\n",
        b"P2\n2 1\n9\n3 x\n",
        b"Pf\n2 2\n",
        b"P5\n999999999 999999999\n255\n",
        b"P3\n999999999 999999999\n255\n1 2 3\n",
        b"P4\n999999999 999999999\n",
    ],
)
def test_damaged_netpbm(tmp_path, content):
    (tmp_path / "a.pgm").write_bytes(content)
    for read in (read_image, lambda path: read_frames(path)[0]):
        with pytest.raises(ImageFileError):
            read(tmp_path / "a.pgm")


# ---- more than eight bits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("form", ["jp2", "j2k"])
def test_jpeg_2000_of_more_than_eight_bits(tmp_path, bits, form):
    for image in (DEEP >> (16 - bits), DEEP[..., 0] >> (16 - bits)):
        image = image.astype(np.uint8 if bits == 8 else np.uint16)
        (tmp_path / "a.jp2").write_bytes(
            imagecodecs.jpeg2k_encode(image, level=0, codecformat=form, bitspersample=bits)
        )
        check(tmp_path / "a.jp2", image)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
@pytest.mark.parametrize("bits", [8, 10, 12])
def test_avif_of_more_than_eight_bits(tmp_path, bits):
    image = (DEEP >> (16 - bits)).astype(np.uint8 if bits == 8 else np.uint16)
    (tmp_path / "a.avif").write_bytes(imagecodecs.avif_encode(image, level=100, bitspersample=bits))
    check(tmp_path / "a.avif", image)


def test_a_deep_sgi_picture_is_refused(tmp_path):
    written = io.BytesIO()
    Image.fromarray(COLOR).save(written, "SGI", bpc=2)
    (tmp_path / "a.sgi").write_bytes(written.getvalue())
    with pytest.raises(ImageFileError, match="an SGI picture of 16 bits"):
        read_image(tmp_path / "a.sgi")
