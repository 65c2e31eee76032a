"""Pictures of every kind that people have: the right pixels, the same by `read_image` and `read_frames`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from variflow import VariflowWarning
from variflow.io import ImageFileError, read_frames, read_image

random = np.random.default_rng(0)
GRAY = random.integers(0, 256, (3, 20, 24), np.uint8)
COLOR = random.integers(0, 256, (3, 20, 24, 3), np.uint8)
ALPHA = random.integers(0, 256, (20, 24, 1), np.uint8)
DEEP = random.integers(0, 65536, (20, 24, 3), np.uint16)
STUDIO = (16, 1, 235, 1, 128, 1, 240, 1, 128, 1, 240, 1)
MAP = random.integers(0, 65536, (3, 256)).astype(np.uint16)


def check(path: Path, wanted: np.ndarray) -> None:
    """The frames of a file are those wanted, with their type, whichever function reads them."""
    wanted = wanted if isinstance(wanted, list) else [wanted]
    frames = read_frames(path)
    assert len(frames) == len(wanted)
    for frame, image in zip(frames, wanted, strict=True):
        assert frame.dtype == image.dtype
        assert np.array_equal(frame, image, equal_nan=image.dtype.kind == "f")
        assert frame.flags["C_CONTIGUOUS"]
        assert frame.flags["WRITEABLE"]
    if len(wanted) == 1:
        image = read_image(path)
        assert image.dtype == frames[0].dtype
        assert np.array_equal(image, frames[0], equal_nan=image.dtype.kind == "f")
    else:
        with pytest.raises(ImageFileError, match="wanted one image"):
            read_image(path)


def patched(path: Path, code: int, value: object) -> None:
    """Change a tag of the first page, as tifffile would not write it."""
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags[code].overwrite(value)


# ---- TIFF: the pages ------------------------------------------------------------------------------------------------


def one_by_one(path: Path, images: list, **how: object) -> None:
    path.unlink(missing_ok=True)
    for image in images:
        tifffile.imwrite(path, image, append=True, **how)


def in_a_loop(path: Path, images: list, **how: object) -> None:
    with tifffile.TiffWriter(path) as writer:
        for image in images:
            writer.write(image, **how)


def with_pillow(path: Path, images: list, **how: object) -> None:
    first, *others = map(Image.fromarray, images)
    first.save(path, save_all=True, append_images=others)


@pytest.mark.parametrize("write", [one_by_one, in_a_loop, with_pillow])
@pytest.mark.parametrize("how", [{}, {"metadata": None}, {"compression": "zlib"}, {"tile": (16, 16)}])
@pytest.mark.parametrize("images", [GRAY, COLOR], ids=["gray", "RGB"])
def test_pages_written_one_by_one_are_frames(tmp_path, write, how, images):
    images = [*images, *images[:, ::-1], *images[:, :, ::-1]]  # nine of them
    write(tmp_path / "a.tif", images, **({} if write is with_pillow else {"photometric": None} | how))
    check(tmp_path / "a.tif", images)


@pytest.mark.parametrize("metadata", [None, {}])
def test_every_page_may_be_stored_in_its_own_way(tmp_path, metadata):
    """Also where only some of many pages differ, at which a quick look would not find it."""
    images = [*GRAY, *GRAY[:, ::-1], *GRAY[:, :, ::-1], *GRAY]
    hows = {2: {"compression": "lzw"}, 3: {"rowsperstrip": 3}, 5: {"tile": (16, 16)}, 8: {"compression": "deflate"}}
    hows |= {9: {"predictor": True, "compression": "zlib"}, 10: {"planarconfig": None}}
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for place, image in enumerate(images):
            writer.write(image, photometric="minisblack", metadata=metadata, **hows.get(place, {}))
    check(tmp_path / "a.tif", images)
    with tifffile.TiffWriter(tmp_path / "b.tif") as writer:
        for place, image in enumerate(COLOR):
            separate = place == 1
            writer.write(
                np.moveaxis(image, -1, 0) if separate else image,
                photometric="rgb",
                planarconfig="separate" if separate else "contig",
                metadata=metadata,
            )
    check(tmp_path / "b.tif", list(COLOR))


@pytest.mark.parametrize("metadata", [None, {}])
@pytest.mark.parametrize("place", [0, 2, 3])
def test_a_preview_is_left_out_and_said(tmp_path, metadata, place):
    path = tmp_path / "a.tif"
    images = list(GRAY)
    images.insert(place, GRAY[0, ::4, ::4])
    in_a_loop(path, images, photometric="minisblack", metadata=metadata)
    with pytest.warns(VariflowWarning, match=r"3 x \(20, 24\) of uint8, gray is read, and left out: 1 x \(5, 6\)"):
        frames = read_frames(path)
    assert np.array_equal(list(frames), GRAY)
    in_a_loop(path, [GRAY[0, ::4, ::4], COLOR[0]], metadata=metadata)
    with pytest.warns(VariflowWarning, match=r"1 x \(20, 24, 3\) of uint8, RGB is read"):
        assert np.array_equal(read_image(path), COLOR[0])
    with tifffile.TiffWriter(path) as writer:  # which the file itself calls a smaller copy: nothing is lost
        writer.write(GRAY[0, ::4, ::4], photometric="minisblack", metadata=metadata, subfiletype=1)
        writer.write(GRAY[0], photometric="minisblack", metadata=metadata)
        writer.write(GRAY[1, ::2, ::2], photometric="minisblack", metadata=metadata, subfiletype=1)
    check(path, GRAY[0])


def test_pages_of_other_types_and_kinds_are_left_out_and_said(tmp_path):
    path = tmp_path / "a.tif"
    for other, said in ((GRAY[0].astype("f4"), "float32"), (COLOR[0], "RGB"), (GRAY[0, :-1], r"\(19, 24\)")):
        in_a_loop(path, [GRAY[0], other, GRAY[1]], metadata=None)
        with pytest.warns(VariflowWarning, match=f"left out: 1 x .*{said}"):
            assert np.array_equal(list(read_frames(path)), GRAY[:2])
    with tifffile.TiffWriter(path) as writer:
        for image, kind in ((GRAY[0], "minisblack"), (COLOR[0], "cielab"), (GRAY[1], "minisblack")):
            writer.write(image, photometric=kind, metadata=None)
    with pytest.warns(VariflowWarning, match="left out: 1 x .* colours of kind 8"):
        assert np.array_equal(list(read_frames(path)), GRAY[:2])


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("ome", [False, True])
def test_a_pyramid_is_its_largest_images(tmp_path, marked, ome):
    mark = {"subfiletype": 1} if marked else {}
    with tifffile.TiffWriter(tmp_path / "a.ome.tif" if ome else tmp_path / "a.tif", ome=ome) as writer:
        writer.write(GRAY, photometric="minisblack", subifds=2, metadata={"axes": "TYX"})
        writer.write(GRAY[:, ::2, ::2], photometric="minisblack", **mark)
        writer.write(GRAY[:, ::4, ::4], photometric="minisblack", **mark)
    check(next(tmp_path.iterdir()), list(GRAY))


def test_the_image_beneath_its_preview(tmp_path):
    """As raw files of cameras have it: the first page is a small copy, the image is its child."""
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(COLOR[0, ::4, ::4], photometric="rgb", subfiletype=1, subifds=1, metadata=None)
        writer.write(COLOR[1], photometric="rgb", metadata=None)
    check(tmp_path / "a.tif", COLOR[1])


def test_big_tiff_and_both_byte_orders(tmp_path):
    for how in ({"bigtiff": True}, {"byteorder": ">"}, {"bigtiff": True, "byteorder": ">"}):
        tifffile.imwrite(tmp_path / "a.tif", DEEP, photometric="rgb", **how)
        check(tmp_path / "a.tif", DEEP)
        one_by_one(tmp_path / "a.tif", list(DEEP), photometric="minisblack", **how)
        check(tmp_path / "a.tif", list(DEEP))


# ---- TIFF: the axes of microscopes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["ome", "imagej", "shaped"])
@pytest.mark.parametrize("axes", ["TYX", "ZYX", "CYX", "TCYX", "ZCYX", "CTYX", "CZYX", "TCZYX", "CTZYX"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_frames_have_one_axis_beside_their_own(tmp_path, form, axes, compression):
    lengths = {"T": 1 if "Z" in axes else 4, "Z": 4, "C": 2, "Y": 10, "X": 12}
    if form == "imagej" and (axes[0] == "C" and len(axes) > 3):
        pytest.skip("ImageJ has its axes in one order")
    array = random.integers(0, 999, [lengths[letter] for letter in axes], np.uint16)
    path = tmp_path / ("a.ome.tif" if form == "ome" else "a.tif")
    how = {"ome": {"ome": True}, "imagej": {"imagej": True}, "shaped": {}}[form]
    if form == "imagej":
        if axes == "TCZYX":
            array, axes = np.moveaxis(array, 1, 2), "TZCYX"
        compression = None
    tifffile.imwrite(path, array, metadata={"axes": axes}, compression=compression, photometric="minisblack", **how)
    array = np.moveaxis(array, axes.index("C"), -1) if "C" in axes else array
    frames = array.reshape(-1, 10, 12, 2) if "C" in axes else array.reshape(-1, 10, 12)
    check(path, list(frames))


@pytest.mark.parametrize("form", ["ome", "imagej", "shaped"])
def test_two_axes_beside_their_own_are_refused(tmp_path, form):
    array = random.integers(0, 999, (3, 4, 10, 12), np.uint16)
    path = tmp_path / ("a.ome.tif" if form == "ome" else "a.tif")
    how = {form: True} if form != "shaped" else {}
    tifffile.imwrite(path, array, metadata={"axes": "TZYX"}, photometric="minisblack", **how)
    for read in (read_image, read_frames):
        with pytest.raises(ImageFileError, match="axes T 3, Z 4, Y 10, X 12; frames have one axis beside") as caught:
            read(path)
        assert "C 1" not in str(caught.value)


def test_channels_that_are_frames(tmp_path):
    """ImageJ calls the axis of a plain stack channels: more than 16, or such of colours, are frames."""
    many = random.integers(0, 999, (17, 10, 12), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", many, imagej=True)
    check(tmp_path / "a.tif", list(many))
    tifffile.imwrite(tmp_path / "a.tif", many[:16], imagej=True)
    check(tmp_path / "a.tif", np.moveaxis(many[:16], 0, -1))
    tifffile.imwrite(tmp_path / "a.tif", COLOR, imagej=True, photometric="rgb")
    check(tmp_path / "a.tif", list(COLOR))


def test_colours_of_each_time_in_ome(tmp_path):
    tifffile.imwrite(tmp_path / "a.ome.tif", COLOR, metadata={"axes": "TYXS"}, photometric="rgb", ome=True)
    check(tmp_path / "a.ome.tif", list(COLOR))
    with tifffile.TiffWriter(tmp_path / "b.ome.tif", ome=True) as writer:
        writer.write(GRAY, metadata={"axes": "TYX"}, photometric="minisblack")
        writer.write(GRAY[:, ::-1], metadata={"axes": "TYX"}, photometric="minisblack")
    with pytest.warns(VariflowWarning, match=r"3 x \(20, 24\) .* is read, and left out: 3 x \(20, 24\)"):
        assert np.array_equal(list(read_frames(tmp_path / "b.ome.tif")), GRAY)


# ---- TIFF: what the samples are -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_numbers_of_every_type(tmp_path, kind, planar):
    for channels in (1, 2, 3, 5):
        image = random.integers(0, 99, (20, 24, channels)).astype(kind)
        stored = image if planar == "contig" else np.moveaxis(image, -1, 0)
        color = "rgb" if channels == 3 else "minisblack"
        if channels == 1:
            tifffile.imwrite(tmp_path / "a.tif", image[..., 0], photometric=color)
        else:
            tifffile.imwrite(tmp_path / "a.tif", stored, photometric=color, planarconfig=planar)
        check(tmp_path / "a.tif", image[..., 0] if channels == 1 else image)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 6, 7])
@pytest.mark.parametrize("color", ["minisblack", "miniswhite", "rgb"])
def test_few_bits_fill_the_range_of_eight(tmp_path, bits, color):
    image = COLOR[0] >> (8 - bits) if color == "rgb" else GRAY[0] >> (8 - bits)
    if bits == 1 and color == "rgb":
        pytest.skip("tifffile writes none")
    tifffile.imwrite(tmp_path / "a.tif", image, bitspersample=bits, photometric=color)
    wanted = np.rint(image * (255 / (2**bits - 1))).astype(np.uint8)
    assert set(np.unique(wanted)) <= {round(255 * step / (2**bits - 1)) for step in range(2**bits)}
    check(tmp_path / "a.tif", wanted)


@pytest.mark.parametrize("bits", [9, 10, 12, 14])
def test_more_than_eight_bits_stay_the_numbers_they_are(tmp_path, bits):
    image = DEEP[..., 0] >> (16 - bits)
    tifffile.imwrite(tmp_path / "a.tif", image, bitspersample=bits, photometric="minisblack")
    check(tmp_path / "a.tif", image)


def palette(path: Path, indices: np.ndarray, bits: int, colors: np.ndarray, **how: object) -> None:
    """Write a page of indices, of any number of bits and with alpha, which tifffile alone would not."""
    tag = (320, "H", colors.size, colors.ravel().tolist(), True)
    tifffile.imwrite(path, indices, photometric="minisblack", bitspersample=bits, extratags=[tag], metadata=None, **how)
    patched(path, 262, 3)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palettes_of_every_depth(tmp_path, bits):
    indices, colors = GRAY[0] >> (8 - bits), MAP[:, : 2**bits]
    wanted = (colors.T >> 8).astype(np.uint8)[indices]
    palette(tmp_path / "a.tif", indices, bits, colors)
    check(tmp_path / "a.tif", wanted)
    if bits in (1, 4, 8):
        with Image.open(tmp_path / "a.tif") as file:
            assert np.array_equal(np.asarray(file.convert("RGB")), wanted)
    palette(tmp_path / "b.tif", indices, bits, colors >> 8)  # eight bits a colour, as some programs write
    check(tmp_path / "b.tif", wanted)


def test_palettes_with_alpha_and_of_sixteen_bits(tmp_path):
    wanted = (MAP.T >> 8).astype(np.uint8)[GRAY[0]]
    both = np.concatenate([GRAY[0, ..., None], ALPHA], axis=-1)
    palette(tmp_path / "a.tif", both, 8, MAP, planarconfig="contig", extrasamples=["unassalpha"])
    check(tmp_path / "a.tif", wanted)
    palette(tmp_path / "a.tif", np.moveaxis(both, -1, 0), 8, MAP, planarconfig="separate", extrasamples=["unassalpha"])
    check(tmp_path / "a.tif", wanted)
    many = random.integers(0, 65536, (3, 65536)).astype(np.uint16)
    palette(tmp_path / "a.tif", DEEP[..., 0], 16, many)
    check(tmp_path / "a.tif", (many.T >> 8).astype(np.uint8)[DEEP[..., 0]])
    palette(tmp_path / "b.tif", GRAY[0], 8, MAP[:, :16])
    with pytest.raises(ImageFileError, match="its palette has 16 colours, a pixel asks for number"):
        read_image(tmp_path / "b.tif")
    tifffile.imwrite(tmp_path / "b.tif", GRAY[0], photometric="minisblack")
    patched(tmp_path / "b.tif", 262, 3)
    with pytest.raises(ImageFileError, match="it has no palette"):
        read_image(tmp_path / "b.tif")


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize(
    ("color", "image"),
    [("minisblack", GRAY[0, ..., None]), ("rgb", COLOR[0]), ("minisblack", DEEP[..., :1].astype(np.float32))],
)
def test_alpha_is_dropped_and_other_samples_are_kept(tmp_path, planar, color, image):
    both = np.concatenate([image, ALPHA.astype(image.dtype)], axis=-1)
    stored = both if planar == "contig" else np.moveaxis(both, -1, 0)
    for kind, wanted in (("unassalpha", image), ("assocalpha", image), ("unspecified", both)):
        tifffile.imwrite(
            tmp_path / "a.tif", stored, photometric=color, planarconfig=planar, extrasamples=[kind], metadata=None
        )
        check(tmp_path / "a.tif", wanted[..., 0] if wanted.shape[2] == 1 else wanted)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_ink_becomes_light(tmp_path, planar):
    ink = random.integers(0, 256, (20, 24, 4), np.uint8)
    wanted = np.asarray(Image.frombytes("CMYK", (24, 20), ink.tobytes()).convert("RGB"))

    def write(values: np.ndarray, **how: object) -> None:
        stored = values if planar == "contig" else np.moveaxis(values, -1, 0)
        tifffile.imwrite(tmp_path / "a.tif", stored, photometric="separated", planarconfig=planar, **how)

    write(ink)
    check(tmp_path / "a.tif", wanted)
    write(np.concatenate([ink, ALPHA], axis=-1), extrasamples=["unassalpha"])
    check(tmp_path / "a.tif", wanted)
    write(ink.astype(np.uint16) * 257)
    assert np.abs(read_image(tmp_path / "a.tif").astype(float) / 257 - wanted).max() <= 0.51
    assert read_image(tmp_path / "a.tif").dtype == np.uint16


def test_luma_and_differences_become_light(tmp_path):
    smooth = np.add.outer(np.arange(32), np.arange(48)).astype(np.uint8)
    color = np.stack([smooth, 200 - smooth, 2 * smooth], axis=-1)
    Image.fromarray(color).save(tmp_path / "a.tif", compression="jpeg", quality=98)
    assert np.abs(read_image(tmp_path / "a.tif").astype(int) - color).mean() < 3
    ycc = np.asarray(Image.fromarray(color).convert("YCbCr"))
    tifffile.imwrite(tmp_path / "a.tif", ycc, photometric="ycbcr", compression="lzw")
    assert np.abs(read_image(tmp_path / "a.tif").astype(int) - color).max() <= 3
    tifffile.imwrite(tmp_path / "a.tif", ycc, photometric="ycbcr", extratags=[(532, "2I", 6, STUDIO, True)])
    with pytest.raises(ImageFileError, match="black and white of YCbCr"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("color", "image", "said"),
    [
        ("cielab", COLOR[0], "its colours are CIELAB"),
        ("icclab", COLOR[0], "its colours are ICCLAB"),
        ("cfa", GRAY[0], "its colours are CFA"),
        ("mask", GRAY[0], "its colours are MASK"),
        ("logluv", COLOR[0], "its colours are LOGLUV"),
        (32845, COLOR[0], "its colours are LOGLUV"),
        (51234, GRAY[0], "of the unknown kind 51234"),
        ("minisblack", GRAY[0].astype(np.complex64), "holds complex64, wanted real numbers"),
    ],
)
def test_other_colours_are_refused_by_name(tmp_path, color, image, said):
    number = isinstance(color, int)
    plain = "rgb" if image.ndim == 3 else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", image, photometric=plain if number else color, metadata=None)
    if number:
        patched(tmp_path / "a.tif", 262, color)
    for read in (read_image, read_frames):
        with pytest.raises(ImageFileError, match=said):
            read(tmp_path / "a.tif")


@pytest.mark.parametrize("compression", ["lzw", "deflate", "packbits", "zstd", "lzma", "png", "webp", "jpeg2000"])
def test_compressions_without_loss(tmp_path, compression):
    how = {"compressionargs": {"level": 0, "reversible": True}} if compression == "jpeg2000" else {}
    how = {"compressionargs": {"lossless": True}} if compression == "webp" else how
    tifffile.imwrite(tmp_path / "a.tif", COLOR[0], photometric="rgb", compression=compression, **how)
    check(tmp_path / "a.tif", COLOR[0])
