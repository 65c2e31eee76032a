"""Pages: how planes are packed, what a page holds, and what the command line makes of files."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from typer.testing import CliRunner

import variflow
from variflow import cli, flowops
from variflow.datasets import synthetic
from variflow.io import FlowFileError
from variflow.page import Page, Pair, contents, document
from variflow.page.packing import pack_codes, pack_colors, pack_values

FOLDER = Path(document.__file__).parent
HOSTILE = "</title><script>alert(1)</script>\"'&<img src=x onerror=alert(2)>{{data}}"


def unpack(plane):
    """Do what the page does, in another way: sums in place of loops."""
    data, (bits, shape) = zlib.decompress(base64.b64decode(plane.text)), (plane.facts["bits"], plane.facts["shape"])
    parts = np.frombuffer(data, np.uint8).reshape(-1, *shape).astype(np.int64)
    codes = parts[0] if bits == 8 else 256 * parts[0] + parts[1]
    if plane.facts["differences"] != "none":
        codes = np.where(codes % 2, -(codes + 1) // 2, codes // 2).cumsum(axis=1)
    if plane.facts["differences"] == "both":
        codes = codes.cumsum(axis=0)
    return codes % 2**bits


def read_values(plane):
    codes = unpack(plane)
    unknown = plane.facts["unknown"] & (codes == 2 ** plane.facts["bits"] - 1)
    return np.where(unknown, np.nan, plane.facts["low"] + codes * plane.facts["step"])


def scripts(text):
    """The elements of a page that are scripts: attributes and content, as a browser divides them."""
    found = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attributes):
            self.inside = tag == "script"
            if self.inside:
                found.append([dict(attributes), ""])

        def handle_data(self, data):
            if self.inside:
                found[-1][1] += data

        def handle_endtag(self, tag):
            self.inside = False

        inside = False

    Parser().feed(text)
    return found


@given(arrays.arrays(st.sampled_from([np.uint8, np.uint16]), arrays.array_shapes(min_dims=2, max_dims=2, max_side=7)))
def test_codes_come_back_as_they_were(codes):
    assert (unpack(pack_codes(codes)) == codes).all()


@pytest.mark.parametrize("kind", ["none", "along", "both"])
def test_differences_are_taken_where_they_pay(kind):
    rng = np.random.default_rng(0)
    codes = {
        "none": rng.integers(0, 2**16, (64, 80)),
        "along": np.repeat(rng.integers(0, 2**15, (64, 1)), 80, axis=1) + 7 * np.arange(80),
        "both": (100 * np.sin(np.arange(80) / 9) * np.arange(64)[:, None] + 20000).astype(int),
    }[kind]
    plane = pack_codes(codes.astype(np.uint16))
    assert plane.facts["differences"] == kind
    assert (unpack(plane) == codes).all()


@pytest.mark.parametrize("bits", [8, 16])
def test_values_change_by_at_most_half_a_step(bits):
    values = np.random.default_rng(0).normal(3, 5, (20, 30)).astype(np.float32)
    values[3:5, 7:9] = np.nan
    plane = pack_values(values, bits)
    back = read_values(plane)
    assert (np.isnan(back) == np.isnan(values)).all()
    assert plane.facts["step"] == pytest.approx((np.nanmax(values) - np.nanmin(values)) / (2**bits - 2))
    assert np.nanmax(abs(back - values)) <= 0.5001 * plane.facts["step"]


@pytest.mark.parametrize("values", [np.full((2, 3), 4.5), np.full((2, 3), np.nan), np.array([[np.inf, -7.25]])])
def test_what_is_all_alike_or_unknown_is_exact(values):
    wanted = np.where(np.isfinite(values), values, np.nan)
    np.testing.assert_array_equal(read_values(pack_values(values, 16)), wanted)


def test_colours_are_whole_or_of_half_the_size():
    frame = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    green, red, blue = map(unpack, pack_colors(frame, halved=False))
    np.testing.assert_array_equal(np.stack([(red + green) % 256, green, (blue + green) % 256], axis=2), frame)

    smooth = np.stack(np.broadcast_arrays(*np.ogrid[60:65, 100:107], 80), axis=2).astype(np.uint8)
    mean, red, blue = map(unpack, pack_colors(smooth, halved=True))
    assert red.shape == blue.shape == (3, 4)
    red, blue = (np.repeat(np.repeat(2 * (half - 128), 2, 0), 2, 1)[:5, :7] for half in (red, blue))
    green = mean - (red + blue) / 4
    assert abs(np.stack([green + red, green, green + blue], axis=2) - smooth).max() <= 3


def test_only_its_own_scripts_may_run_and_nothing_is_loaded():
    text = Page([Pair(np.ones((4, 5, 2)))]).write()
    policy = re.search('http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules.pop("default-src") == rules.pop("base-uri") == rules.pop("form-action") == "'none'"
    runs = [content for attributes, content in scripts(text) if attributes.get("type") != "text/plain"]
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in runs]
    assert rules.pop("script-src").split() == [f"'sha256-{digest}'" for digest in digests]
    style = re.search("<style>(.*?)</style>", text, re.DOTALL)[1]
    assert rules.pop("style-src") == f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'"
    assert not rules
    assert not re.search(r"https?://|\bimport\(|\bfetch\(|XMLHttpRequest|innerHTML|\beval\(", text)


def test_hostile_names_stay_text():
    pair = Pair(np.zeros((4, 5, 2)), label=HOSTILE, note=f"<!-- {HOSTILE}")
    text = Page([pair, pair], title=HOSTILE, about=HOSTILE).write()
    plain = Page([Pair(np.zeros((4, 5, 2)))] * 2).write()
    assert [attributes for attributes, _ in scripts(text)] == [attributes for attributes, _ in scripts(plain)]
    facts = json.loads(next(content for attributes, content in scripts(text) if attributes.get("id") == "facts"))
    assert facts["about"] == facts["pairs"][1]["label"] == HOSTILE
    assert text.count("<script>") == plain.count("<script>")
    assert "<img" not in text
    assert text.count("&lt;script&gt;alert(1)") == 2


def test_a_name_that_is_no_text_can_be_written(tmp_path):
    Page([Pair(np.zeros((4, 5, 2)), label="\udcff")], title="a\udcff.png").save(tmp_path / "a.html")
    assert "<title>a?.png</title>" in (tmp_path / "a.html").read_text()


def test_in_a_notebook_it_has_a_frame_of_its_own():
    page = Page([Pair(np.zeros((4, 5, 2)))], title=HOSTILE)
    found = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: found.append((tag, dict(attributes)))
    parser.feed(page._repr_html_())
    ((tag, attributes),) = found
    assert tag == "iframe"
    assert attributes["srcdoc"] == page.write()
    assert attributes["sandbox"] == "allow-scripts allow-downloads"
    assert attributes["title"] == HOSTILE


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda flow: Page([]), "pairs is empty, wanted at least one"),
        (lambda flow: Page([flow]), "pairs holds .*, wanted variflow.page.Pair"),
        (
            lambda flow: Page([Pair(flow), Pair(flow[1:])]),
            r"pair 1 has shape \(3, 5\), wanted that of pair 0, \(4, 5\)",
        ),
        (lambda flow: Page([Pair(flow)], pixel_size=0), "pixel_size is 0, wanted a finite number of metres"),
        (lambda flow: Page([Pair(flow)], dt=float("nan")), "dt is nan, wanted a finite number of seconds above 0"),
        (lambda flow: Pair(flow[..., 0]), r"flow has shape \(4, 5\), wanted \(H, W, 2\)"),
        (lambda flow: Pair(flow, np.zeros((4, 6))), r"frame0 has shape \(4, 6\), wanted"),
        (lambda flow: Pair(flow, np.zeros((4, 5)), np.zeros((4, 5, 3))), "wanted as many channels as frame0"),
        (
            lambda flow: Pair(flow, confidence=np.zeros((4, 6))),
            r"confidence has shape \(4, 6\), wanted that of the flow",
        ),
        (lambda flow: Pair(flow, occlusion=np.zeros((4, 5))), "occlusion has dtype float64, wanted bool"),
        (lambda flow: Pair(flow, flags=np.full((4, 5), 4)), "flags holds int64 values other than 0, 1, 2 and 3"),
        (lambda flow: Pair(flow, flags=np.zeros((4, 6), int)), r"flags has shape \(4, 6\), wanted that of flow"),
    ],
)
def test_what_is_wrong_is_named(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make(np.zeros((4, 5, 2)))


def test_what_is_too_large_for_a_browser_is_refused(monkeypatch):
    for module in (contents, document):
        monkeypatch.setattr(module, "MOST_PIXELS", 30)
    pair = Pair(np.zeros((5, 6, 2)))
    with pytest.raises(ValueError, match="pairs holds 2 of 6 x 5, wanted at most 30 pixels together"):
        Page([pair, pair])
    with pytest.raises(ValueError, match=r"flow has shape \(5, 7, 2\), wanted at most 30 pixels for a page: crop it"):
        Pair(np.zeros((5, 7, 2)))


def facts_of(path):
    text = Path(path).read_text()
    return json.loads(next(content for attributes, content in scripts(text) if attributes.get("id") == "facts"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frames = [synthetic.translation((48, 64), shift=(1.5 * time, 0)).frame1 for time in range(5)]
    variflow.write_frames("shot/frame*.png", frames)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(cli.app, list(map(str, arguments)))


def test_the_page_of_two_frames(folder):
    done = run(
        "page", "shot/frame000000.png", "shot/frame000001.png", "-o", "a.html", "-m", "realtime",
        "--pixel-size", 25e-6, "--dt", 2e-4,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert done.output == "wrote a.html\n"
    facts = facts_of("a.html")
    assert set(facts["pairs"][0]["planes"]) == {"u", "v", "first", "second", "confidence", "occlusion"}
    assert facts["about"] == "model realtime"
    assert facts["units"] == {"length": "m", "speed": "m/s", "rate": "1/s"}
    assert facts["factors"] == {"length": 25e-6, "speed": 0.125, "rate": 5000}
    assert (
        run("page", "shot/frame000000.png", "shot/frame000001.png", "-o", "b.html", "--pixel-size", "25um").exit_code
        == 0
    )
    facts = facts_of("b.html")
    assert facts["units"] == {"length": "um", "speed": "um", "rate": "per pair"}
    assert facts["factors"] == {"length": 25, "speed": 25, "rate": 1}
    assert "<title>frame000000.png → frame000001.png</title>" in Path("a.html").read_text()


@pytest.mark.parametrize(
    ("pixel_size", "dt", "pixels", "unit", "factor"),
    [
        ((25, "um"), 2e-4, 3, "m/s", 0.125),
        (25e-6, 2e-4, 3, "m/s", 0.125),
        (25e-6, 2e-4, 0.03, "mm/s", 125),
        ((25, "um"), 0.5, 3, "um/s", 50),
        ((2, "cm"), 1, 3, "cm/s", 2),
        ((2, "cm"), 1, 3000, "m/s", 0.02),
        ((1, "km"), 300, 4, "m/s", 1000 / 300),
        ((1, "nm"), 1, 1e-3, "nm/s", 1),
        ((25, "um"), None, 3, "um", 25),
        (25e-6, None, 3, "um", 25),
        (None, 2e-4, 3, "px/s", 5000),
        (None, None, 3e4, "px", 1),
    ],
)
def test_speeds_are_in_a_unit_that_reads_well(pixel_size, dt, pixels, unit, factor):
    flow = np.full((4, 5, 2), (0, pixels), np.float32)
    facts = json.loads(dict(Page([Pair(flow)], pixel_size=pixel_size, dt=dt)._list_data())["facts"])
    assert facts["units"]["speed"] == unit
    assert facts["factors"]["speed"] == pytest.approx(factor)
    length = pixel_size[1] if isinstance(pixel_size, tuple) else "px" if pixel_size is None else "m"
    assert facts["units"]["length"] == length


def test_a_page_shows_what_was_validated(folder):
    done = run("page", "shot/frame000000.png", "shot/frame000001.png", "-o", "a.html", "-m", "realtime", "--validate")
    assert done.exit_code == 0, done.output
    assert "flags" in facts_of("a.html")["pairs"][0]["planes"]
    images = [variflow.read_image(f"shot/frame00000{number}.png") for number in (0, 1)]
    mask = np.ones((48, 64), bool)
    mask[:10] = False
    result = variflow.estimate(*images, "realtime", mask=(mask, None))
    shown = result.show_page(validate=True)._pairs[0]
    flow, flags = flowops.validate(result.flow, *images, mask=(mask, None))
    np.testing.assert_array_equal(shown.flow, flow)
    np.testing.assert_array_equal(shown.flags, flags)
    assert (shown.flags[:10] == 1).all()
    assert result.show_page()._pairs[0].flags is None


def test_a_masked_pixel_has_no_flow(folder):
    mask = np.full((48, 64), 255, np.uint8)
    mask[:10] = 0
    variflow.write_image("mask.png", mask)
    run("page", "shot/frame000000.png", "shot/frame000001.png", "-o", "a.html", "-m", "realtime", "--mask", "mask.png")
    assert facts_of("a.html")["pairs"][0]["planes"]["u"]["unknown"]
    image = variflow.read_image("shot/frame000000.png")
    page = variflow.estimate(image, image, "realtime", mask=mask > 0).show_page()
    assert (np.isnan(page._pairs[0].flow[..., 0]) == (mask == 0)).all()


def test_a_result_is_saved_as_a_page(folder):
    image = variflow.read_image("shot/frame000000.png")
    result = variflow.estimate(image, image, "realtime")
    result.save("a.html")
    assert facts_of("a.html")["pairs"][0]["planes"]["u"] == {
        "bits": 16, "shape": [48, 64], "differences": "none", "low": 0.0, "step": 1e-4, "unknown": False,
        "id": "plane-0-u-0",
    }  # fmt: skip
    with pytest.raises(FlowFileError, match=r"a.txt: the name of a page ends with .html"):
        result.show_page().save("a.txt")


def test_the_page_of_a_film_of_flows(folder):
    pytest.importorskip("zarr")
    assert run("video", "shot", "-o", "flows.zarr", "-m", "realtime").exit_code == 0
    done = run("page", "flows.zarr", "-o", "a.html", "--start", 1)
    assert done.exit_code == 0, done.output
    pairs = facts_of("a.html")["pairs"]
    assert [pair["label"] for pair in pairs] == [f"{i}: frames {i} and {i + 1}" for i in (1, 2, 3)]
    assert set(pairs[0]["planes"]) == {"u", "v"}

    done = run("page", "flows.zarr", "-o", "b.html", "--frames", "shot", "--step", 3)
    assert done.exit_code == 0, done.output
    facts = facts_of("b.html")
    assert [set(pair["planes"]) for pair in facts["pairs"]] == [{"u", "v", "first", "second"}] * 2
    assert facts["about"] == "model realtime"


def test_a_long_film_is_thinned_and_says_so(folder, monkeypatch):
    pytest.importorskip("zarr")
    from variflow.page import films

    monkeypatch.setattr(films, "_PIXELS", 2 * 48 * 64)
    run("video", "shot", "-o", "flows.zarr", "-m", "realtime")
    done = run("page", "flows.zarr", "-o", "a.html")
    assert "took 2 of 4 flows, one in 2; --step says otherwise" in done.output
    assert [pair["label"][0] for pair in facts_of("a.html")["pairs"]] == ["0", "2"]


def test_faults_and_cuts_are_noted(folder):
    zarr = pytest.importorskip("zarr")
    array = zarr.create_array("flows.zarr", shape=(2, 4, 5, 2), dtype="float32", fill_value=np.nan)
    array[1] = np.ones((4, 5, 2))
    array.attrs.update({"faults": ["damaged", ""], "cuts": [False, True], "frames": [[0, 1]], "model": 3})
    assert run("page", "flows.zarr").exit_code == 0
    first, second = facts_of("flow.html")["pairs"]
    assert (first["label"], first["note"]) == ("0: frames 0 and 1", "No flow: damaged.")
    assert (second["label"], second["note"][:16]) == ("1", "The scene is cut")


def test_frames_are_cut_and_resized_as_those_of_the_flows(folder):
    pytest.importorskip("zarr")
    assert (
        run("video", "shot", "-o", "v.zarr", "-m", "realtime", "--region", "8,4,40,60", "--resize", "30x20").exit_code
        == 0
    )
    done = run("page", "v.zarr", "--frames", "shot")
    assert done.exit_code == 0, done.output
    shape = facts_of("flow.html")["pairs"][0]["planes"]["first"][0]["shape"]
    assert shape == [20, 30]
    variflow.write_frames("small/frame*.png", [np.zeros((40, 56, 3), np.uint8)] * 5)
    assert run("video", "shot", "-o", "w.zarr", "-m", "realtime").exit_code == 0
    done = run("page", "w.zarr", "--frames", "small")
    assert "--frames has a frame 0 of 56 x 40 pixels, and flow 0 has 64 x 48, wanted the frames" in done.output
    done = run("page", "w.zarr", "--frames", "shot/frame000000.png")
    assert "--frames has no frame 1, which flow 0 is of; it has 1" in done.output


def test_flows_beside_a_frame_that_cannot_be_read_are_shown(folder):
    pytest.importorskip("zarr")
    Path("shot/frame000001.png").write_bytes(b"no picture")
    variflow.write_image("shot/frame000004.png", np.zeros((40, 64, 3), np.uint8))
    assert run("video", "shot", "-o", "v.zarr", "-m", "realtime").exit_code == 1
    done = run("page", "v.zarr", "--frames", "shot")
    assert done.exit_code == 0, done.output
    pairs = facts_of("flow.html")["pairs"]
    assert ["first" in pair["planes"] for pair in pairs] == [False, False, True, False]
    assert [pair["note"][:8] for pair in pairs] == ["No flow:", "No flow:", "", "No flow:"]


def test_the_time_of_a_page_is_that_between_the_frames_of_a_flow(folder):
    pytest.importorskip("zarr")
    for name, options in (("step", ("--step", 2)), ("reference", ("--to-reference", 0))):
        assert run("video", "shot", "-o", f"{name}.zarr", "-m", "realtime", *options).exit_code == 0
    assert run("page", "step.zarr", "--dt", 0.1).exit_code == 0
    assert facts_of("flow.html")["factors"]["speed"] == pytest.approx(5)
    done = run("page", "reference.zarr", "--dt", 0.1)
    assert done.output.endswith(
        "--dt is given, and frames of flows are 1, 2, 3, 4 apart, wanted the same for all, above 0\n"
    )
    assert run("page", "reference.zarr", "--dt", 0.1, "--start", 3).exit_code == 0
    assert facts_of("flow.html")["factors"]["rate"] == pytest.approx(2.5)


@pytest.mark.parametrize("more", [[], ["--frames", "shot"]])
def test_other_outputs_of_video_are_refused_by_their_name(folder, more):
    Path("flows").mkdir()
    variflow.write_flow("flows/a.flo", np.zeros((4, 5, 2)))
    Path("v.nc").write_bytes(b"")
    wanted = "wanted the array that `variflow video IN -o NAME.zarr` writes, or a file of one flow\n"
    assert run("page", "flows", *more).output == f"variflow: flows: a folder; {wanted}"
    assert run("page", "v.nc", *more).output == f"variflow: v.nc: a .nc file, which holds fields in units; {wanted}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["flow.flo", "-o", "a.txt"], "a.txt: the name of a page ends with .html"),
        (["flow.flo", "--start", "2"], "--start is given, and flow.flo holds one flow"),
        (["flow.flo", "--model", "fast"], "--model is given, and FIRST alone is a flow"),
        (["flow.flo", "--validate"], "--validate is given, and FIRST alone is a flow"),
        (["flow.flo", "--frames", "shot"], "--frames is given, and flow.flo holds one flow"),
        (["shot/frame000000.png", "shot/frame000001.png", "--step", "2"], "--step is given, and FIRST and SECOND"),
        (["shot/frame000000.png", "missing.png"], "missing.png"),
        (["flow.flo", "--dt", "-1"], "--dt is -1.0, wanted a finite number of seconds above 0"),
        (["flows.zarr", "--start", "9"], "--start is 9, wanted less than 2, where the flows end"),
        (["flows.zarr", "--frames", "shot"], "does not say which frames flow 0 belongs to"),
        (["volume.zarr"], "a Zarr array of shape (2, 4, 5, 3), wanted (T, H, W, 2)"),
    ],
)
def test_wrong_calls_say_why_in_a_line(folder, arguments, message):
    zarr = pytest.importorskip("zarr")
    variflow.write_flow("flow.flo", np.zeros((4, 5, 2)))
    for name, channels in (("flows", 2), ("volume", 3)):
        shape = (2, 4, 5, channels)
        zarr.create_array(f"{name}.zarr", shape=shape, dtype="float32", chunks=shape)[...] = 1
    done = run("page", *arguments)
    assert done.exit_code == 1, done.output
    assert message in done.output.replace("\n", " ")
    assert not Path("flow.html").exists()


def test_scales_are_those_of_all_pairs():
    y, x = np.mgrid[:40, :50]
    turning = np.stack([-0.25 * y, 0.25 * x], axis=2)
    facts = json.loads(dict(Page([Pair(np.zeros((40, 50, 2))), Pair(turning)])._list_data())["facts"])
    assert facts["scales"]["vorticity"] == pytest.approx(0.5)
    assert facts["scales"]["divergence"] == 1
    assert facts["scales"]["speed"] == pytest.approx(np.quantile(np.hypot(*turning.T), 0.99), rel=1e-4)
    assert np.allclose(flowops.vorticity(turning), 0.5)


def test_no_file_of_the_page_is_long():
    files = [path for path in FOLDER.iterdir() if path.suffix in (".js", ".css", ".html")]
    assert len(files) == 7
    assert max(len(path.read_text().splitlines()) for path in files) <= 400
