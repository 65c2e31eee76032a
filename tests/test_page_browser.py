"""Pages in a headless Chromium: what they show, what controls do, and that nothing is loaded or logged."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

import variflow
from variflow import flowops
from variflow.page import Page, Pair

HOSTILE = "</title></script><script>window.hurt = 1</script>\"'<img src=x onerror='window.hurt = 2'>"
WIDE, NARROW = {"width": 1500, "height": 1000}, {"width": 400, "height": 800}


def make_pair(dtype=np.uint8, channels=3, **more):
    """A turning and growing flow with a gap, over noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:40, :60]
    flow = np.stack([0.03 * (x - 30) - 0.05 * (y - 20), 0.05 * (x - 30) + 0.03 * (y - 20)], axis=2)
    flow = (flow + rng.normal(0, 0.05, flow.shape)).astype(np.float32)
    flow[5:9, 10:14] = np.nan
    frames = rng.random((2, 40, 60, channels))
    frames = frames.astype(dtype) if np.issubdtype(dtype, np.floating) else (255 * frames).astype(dtype)
    marks = {"confidence": rng.random((40, 60)), "occlusion": rng.random((40, 60)) < 0.2}
    return Pair(flow, *frames, **(marks | more))


def read_numbers(tab):
    """The table of numbers: texts by their titles; of two rows of one title the last."""
    rows = tab.eval_on_selector_all(
        "#numbers tr", "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return dict(rows)


def take_picture(tab):
    return tab.evaluate("document.getElementById('picture').toDataURL()")


def set_slider(tab, name, value):
    tab.evaluate(
        """([id, value]) => {
            const slider = document.getElementById(id);
            slider.value = value;
            slider.dispatchEvent(new Event("input"));
        }""",
        [name, value],
    )


def read_plane(tab, name):
    values = tab.evaluate(f"Array.from(take(state.pair, {name!r}), value => Number.isNaN(value) ? null : value)")
    return np.array([np.nan if value is None else value for value in values]).reshape(40, 60)


def test_every_pixel_is_that_of_the_flow_to_sixteen_bits(open_page):
    pair = make_pair()
    tab = open_page(Page([pair]))
    half = np.nanmax(np.ptp(pair.flow[~np.isnan(pair.flow[..., 0])], axis=0)) / 65534 / 2
    for component, name in enumerate("uv"):
        difference = abs(read_plane(tab, name) - pair.flow[..., component])
        assert (np.isnan(difference) == np.isnan(pair.flow[..., 0])).all()
        assert np.nanmax(difference) <= 1.01 * half
    for name, wanted in (("vorticity", flowops.vorticity(pair.flow)), ("divergence", flowops.divergence(pair.flow))):
        difference = abs(read_plane(tab, name) - wanted)
        assert (np.isnan(difference) == np.isnan(wanted)).all()
        assert np.nanmax(difference) <= 4.04 * half
    assert abs(read_plane(tab, "confidence") - pair.confidence).max() <= 0.5001 / 254
    assert (tab.evaluate("Array.from(state.pair.occlusion)") == pair.occlusion.ravel()).all()


@pytest.mark.parametrize(("dtype", "channels"), [(np.uint8, 3), (np.uint8, 1), (np.float32, 1)])
def test_the_second_frame_is_warped_back_as_variflow_does(open_page, dtype, channels):
    pair = make_pair(dtype, channels)
    tab = open_page(Page([pair]))
    seen = [tab.evaluate(f"state.pair.first.map(plane => Array.from(plane))[{i}]") for i in range(channels)]
    np.testing.assert_allclose(np.reshape(np.transpose(seen), pair.frame0.shape), pair.frame0, atol=1e-5)
    wanted = variflow.warp(pair.frame1, pair.flow, "bilinear")
    warped = np.array(
        [
            tab.evaluate(f"Array.from(take(state.pair, 'warped')[{i}], v => Number.isNaN(v) ? -1 : v)")
            for i in range(channels)
        ]
    )
    warped = warped.T.reshape(wanted.shape)
    inside = (warped >= 0).all(axis=2)
    assert inside.mean() > 0.8
    # Between pixels of noise, half a step of the flow counts, in x and in y.
    np.testing.assert_allclose(warped[inside], wanted[inside], atol=2e-4 * pair.frame1.max())


def test_the_numbers_are_those_under_the_pointer_in_units(open_page):
    pair = make_pair()
    tab = open_page(Page([pair], pixel_size=25e-6, dt=2e-4))
    box = tab.locator("#picture").bounding_box()
    for x, y in ((3, 4), (57, 38), (30, 20)):
        tab.mouse.move(box["x"] + (x + 0.5) * box["width"] / 60, box["y"] + (y + 0.5) * box["height"] / 40)
        numbers = read_numbers(tab)
        u, v = pair.flow[y, x].astype(float) * 25e-6 / 2e-4
        assert numbers["x, y"] == f"{x * 25e-6:.6f}, {y * 25e-6:.6f} m"
        assert numbers["u, to the right"].endswith(" m/s")
        assert float(numbers["u, to the right"].split()[0]) == pytest.approx(u, abs=1e-5)
        assert float(numbers["v, down"].split()[0]) == pytest.approx(v, abs=1e-5)
        assert float(numbers["speed"].split()[0]) == pytest.approx(np.hypot(u, v), abs=2e-5)
        assert numbers["vorticity"].endswith(" 1/s")
        assert float(numbers["vorticity"].split()[0]) == pytest.approx(flowops.vorticity(pair.flow)[y, x] / 2e-4, abs=1)
        assert numbers["first frame"] == ", ".join(map(str, pair.frame0[y, x]))
        assert numbers["occluded"] == ("yes" if pair.occlusion[y, x] else "no")
    tab.mouse.move(box["x"] + 11.5 * box["width"] / 60, box["y"] + 6.5 * box["height"] / 40)
    assert read_numbers(tab)["u, to the right"] == "unknown"


def test_sliders_change_the_picture_and_say_where_they_are(open_page):
    tab = open_page(Page([make_pair()]))
    for name in ("opacity", "range", "zoom", "spacing", "length", "least", "brightness", "curtain"):
        if name == "brightness":
            tab.check("input[name=layer][value=first]")
        if name == "curtain":
            tab.check("input[name=way][value=curtain]")
        seen, rest = [], tab.input_value(f"#{name}")
        for value in (20, 40, 70):
            set_slider(tab, name, value)
            seen.append((take_picture(tab), tab.text_content(f"#{name}-said")))
        assert [len(set(values)) for values in zip(*seen, strict=True)] == [3, 3], name
        set_slider(tab, name, rest)


def test_every_layer_has_its_picture_and_its_key(open_page):
    tab = open_page(Page([make_pair()]))
    tab.uncheck("#arrows")
    names = tab.eval_on_selector_all("input[name=layer]", "all => all.map(one => one.value)")
    assert names == [
        "flow", "speed", "vorticity", "divergence", "confidence", "occlusion", "first", "second", "warped",
        "difference",
    ]  # fmt: skip
    seen = {}
    for name in names:
        tab.check(f"input[name=layer][value={name}]")
        seen[name] = take_picture(tab)
        assert tab.is_visible("#key") == (name not in ("first", "second", "warped"))
    assert len(set(seen.values())) == len(names)
    tab.check("input[name=layer][value=flow]")
    for change in (
        lambda: tab.select_option("#wheel", "safe"),
        lambda: tab.check("#hatch"),
        lambda: tab.check("#arrows"),
    ):
        before = take_picture(tab)
        change()
        assert take_picture(tab) != before


def test_flags_are_a_layer_and_stand_at_the_pointer(open_page):
    flags = np.zeros((40, 60), np.int8)
    for flag in (1, 2, 3):
        flags[:, 15 * flag : 15 * (flag + 1)] = flag
    tab = open_page(Page([make_pair(flags=flags)]))
    assert (tab.evaluate("Array.from(state.pair.flags)") == flags.ravel()).all()
    tab.check("input[name=layer][value=flags]")
    tab.uncheck("#arrows")
    assert tab.is_visible("#key")
    box = tab.locator("#picture").bounding_box()
    row = np.reshape(tab.evaluate("Array.from(pen.getImageData(0, 10, canvas.width, 1).data)"), (-1, 4))
    colors = [tuple(row[int(len(row) * (15 * flag + 12.5) / 60)][:3]) for flag in range(4)]
    assert colors == [(222, 235, 247), (0, 0, 0), (224, 130, 20), (84, 39, 136)]
    for flag, title in enumerate(("measured", "masked", "replaced", "rejected")):
        x, y = box["width"] * (15 * flag + 5.5) / 60, box["height"] * 20.5 / 40
        tab.mouse.move(box["x"] + x, box["y"] + y)
        assert read_numbers(tab)["flag"] == title
    assert "flag" not in read_numbers(open_page(Page([make_pair()]), name="b.html"))


def test_the_signs_of_vorticity_and_divergence_are_stated(open_page):
    y, x = np.mgrid[:40, :60]
    clockwise = np.stack([-(y - 20), x - 30], axis=2) * 0.1  # what is to the right moves down
    spreading = np.stack([x - 30, y - 20], axis=2) * 0.1
    for name, flow, said in (
        ("vorticity", clockwise, "above 0 where the flow turns clockwise as seen"),
        ("divergence", spreading, "above 0 where the flow spreads"),
    ):
        tab = open_page(Page([Pair(flow)]), name=f"{name}.html")
        tab.check(f"input[name=layer][value={name}]")
        assert f"Shown: {name}, {said}" in tab.text_content("#shown")
        assert float(read_numbers(tab)[name].split()[0]) == pytest.approx(0.2, abs=1e-3)
        text = " ".join(tab.text_content(".numbers").split())
        assert "y and v down" in text
        assert "Vorticity is above 0 where the flow turns clockwise as seen, divergence where it spreads." in text


def test_speeds_have_one_unit_everywhere(open_page):
    flow = np.zeros((40, 60, 2), np.float32)
    flow[..., 0] = 3.7
    tab = open_page(Page([Pair(flow)], pixel_size=(25, "um"), dt=2e-4))  # 462500 um/s
    assert read_numbers(tab)["speed"].endswith(" m/s")
    assert float(read_numbers(tab)["speed"].split()[0]) == pytest.approx(0.4625, abs=1e-4)
    assert "Rim: 0.463 m/s" in tab.text_content("#key-said")
    assert tab.text_content("#range-said") == "0.463 m/s"
    assert "an arrow that reaches the next one is 0.463 m/s" in tab.text_content("#shown")
    tab.focus("#picture")
    for key in ("Enter", "Shift+ArrowRight", "Enter"):
        tab.keyboard.press(key)
    with tab.expect_download() as download:
        tab.click("#save-profile")
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text())))
    assert float(rows[0]["u [m/s]"]) == pytest.approx(0.4625, abs=1e-4)
    assert "x [um]" in rows[0]


def test_colours_are_those_of_the_library(open_page):
    flow = make_pair().flow
    tab = open_page(Page([Pair(flow)]))
    full = tab.evaluate("state.full")
    colors = tab.evaluate(
        """Array.from(state.pair.u, (u, i) => Number.isNaN(u) ? [0, 0, 0]
            : colorOfFlow(u / state.full, state.pair.v[i] / state.full, "middlebury"))"""
    )
    wanted = variflow.view.color(flow, full).reshape(-1, 3).astype(float)
    assert abs(np.array(colors, float) - wanted).max() <= 1.5


def test_blinking_changes_the_picture_by_itself(open_page):
    tab = open_page(Page([make_pair()]))
    tab.check("input[name=way][value=blink]")
    set_slider(tab, "rate", 20)
    seen = {take_picture(tab)}
    tab.wait_for_function("before => document.getElementById('picture').toDataURL() !== before", arg=seen.pop())
    tab.check("input[name=way][value=none]")
    assert tab.evaluate("timer") == 0


def test_all_can_be_done_by_keyboard(open_page):
    tab = open_page(Page([make_pair(), make_pair()]))
    wanted = tab.evaluate(
        """() => [...document.querySelectorAll("canvas[tabindex], input, select, button, summary")]
            .filter(one => !one.disabled && one.checkVisibility() && !(one.type === "radio" && !one.checked))
            .map(one => one.id || one.name || one.tagName)"""
    )
    reached = []
    for _ in range(len(wanted) + 2):
        tab.keyboard.press("Tab")
        reached.append(tab.evaluate("(one => one.id || one.name || one.tagName)(document.activeElement)"))
    assert set(wanted) <= set(reached)

    tab.focus("#picture")
    x, y = 30, 20
    for key, across, down in (
        ("ArrowLeft", -1, 0),
        ("Shift+ArrowDown", 0, 10),
        ("ArrowUp", 0, -1),
        ("Shift+ArrowRight", 10, 0),
    ):
        tab.keyboard.press(key)
        x, y = x + across, y + down
        assert read_numbers(tab)["x, y"] == f"{x}, {y} px"
    assert f"x, y {x}, {y} px; u, to the right" in tab.text_content("#spoken")
    for key, control in (("a", "#arrows"), ("b", "input[value=blink]"), ("c", "input[value=curtain]")):
        before = tab.is_checked(control)
        tab.keyboard.press(key)
        assert tab.is_checked(control) != before
    tab.keyboard.press("+")
    assert tab.text_content("#zoom-said") == "1.2 times"
    tab.keyboard.press("Escape")
    assert tab.is_disabled("#save-profile")


@pytest.mark.parametrize("by", ["keyboard", "mouse"])
def test_a_profile_is_that_of_the_flow_along_the_line(open_page, by):
    pair = make_pair()
    tab = open_page(Page([pair], pixel_size=0.5, dt=2.0))
    if by == "keyboard":
        tab.focus("#picture")
        for key in ("Enter", *("Shift+ArrowRight",) * 2, "Enter"):
            tab.keyboard.press(key)
    else:
        box = tab.locator("#picture").bounding_box()
        at = [(box["x"] + (x + 0.5) * box["width"] / 60, box["y"] + 20.5 * box["height"] / 40) for x in (30, 40, 50)]
        tab.mouse.move(*at[0])
        tab.mouse.down()
        tab.mouse.move(*at[1])
        tab.mouse.move(*at[2])
        tab.mouse.up()
    assert tab.is_visible("#plot")
    with tab.expect_download() as download:
        tab.click("#save-profile")
    assert download.value.suggested_filename == "profile.csv"
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text())))
    assert len(rows) == 21
    read = {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
    assert list(read) == [
        "x [m]", "y [m]", "distance [m]", "u [m/s]", "v [m/s]", "speed [m/s]", "along [m/s]", "across [m/s]",
        "vorticity [1/s]", "divergence [1/s]", "confidence",
    ]  # fmt: skip
    slack = 2e-3 if by == "mouse" else 1e-4  # the pointer of a mouse is on whole pixels of the screen
    np.testing.assert_allclose(read["x [m]"], 0.5 * np.arange(30, 51), atol=20 * slack)
    np.testing.assert_allclose(read["distance [m]"], 0.5 * np.arange(21), atol=20 * slack)
    u, v = pair.flow[20, 30:51].T * 0.25
    for name, wanted in (("u", u), ("v", v), ("speed", np.hypot(u, v)), ("along", u), ("across", v)):
        np.testing.assert_allclose(read[f"{name} [m/s]"], wanted, atol=10 * slack)
    pictures = []
    for quantity in ("u", "vorticity"):
        tab.select_option("#quantity", quantity)
        pictures.append(tab.evaluate("document.getElementById('plot').toDataURL()"))
    assert pictures[0] != pictures[1]


def test_what_is_seen_can_be_downloaded(open_page):
    tab = open_page(Page([make_pair()]))
    with tab.expect_download() as download:
        tab.click("#save-picture")
    assert download.value.suggested_filename == "flow.png"
    content = download.value.path().read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = int.from_bytes(content[16:20]), int.from_bytes(content[20:24])
    seen = tab.evaluate("[canvas.width, canvas.height]")
    assert width == seen[0]
    assert height > seen[1] + 150


def test_pairs_of_a_film_are_chosen_by_a_slider(open_page):
    pairs = [
        Pair(np.full((40, 60, 2), value), label=f"pair {value}", note=f"no. {value}") for value in (1, 2, 3, 4, 5, 6)
    ]
    tab = open_page(Page(pairs))
    for number in (1, 5, 0):
        set_slider(tab, "pair", number)
        tab.wait_for_selector(f"body[data-shown='{number}']")
        assert tab.text_content("#pair-said") == f"pair {number + 1}"
        assert tab.text_content("#note") == f"no. {number + 1}"
        assert float(read_numbers(tab)["v, down"].split()[0]) == number + 1
    assert not tab.is_visible("#comparing")
    assert not tab.is_visible("#trust")


def test_hostile_names_are_shown_as_text(open_page):
    pair = make_pair(label=HOSTILE, note=HOSTILE)
    tab = open_page(Page([pair, pair], title=HOSTILE, about=HOSTILE))
    assert tab.evaluate("window.hurt") is None
    assert tab.title() == HOSTILE
    for place in ("h1", "#about", "#note", "#pair-said"):
        assert tab.text_content(place) == HOSTILE
    assert tab.query_selector("img") is None


@pytest.mark.parametrize(
    "attempt",
    [
        "fetch('https://example.com/')",
        """new Promise((done, fail) => {
            Object.assign(new Image(), { onload: done, onerror: fail, src: "https://example.com/a.png" });
        })""",
        """new Promise((done, fail) => {
            document.body.append(Object.assign(document.createElement("script"), { text: "window.hurt = 1" }));
            window.hurt ? done() : fail();
        })""",
    ],
    ids=["fetch", "image", "script"],
)
def test_the_policy_refuses_the_network_and_other_scripts(browser, tmp_path, attempt):
    Page([make_pair()]).save(tmp_path / "a.html")
    context = browser.new_context()
    tab = context.new_page()
    refused = []
    tab.on("console", lambda message: refused.append(message.text))
    tab.goto((tmp_path / "a.html").as_uri())
    assert tab.evaluate(f"({attempt}).then(() => 'done', () => 'refused')") == "refused"
    context.close()
    assert any("Content Security Policy" in text for text in refused)


def test_it_works_in_the_frame_of_a_notebook(open_page, tmp_path):
    page = Page([make_pair()], title=HOSTILE)
    (tmp_path / "notebook.html").write_text(f"<!DOCTYPE html><meta charset=utf-8>{page._repr_html_()}")
    tab = open_page(None, name="notebook.html", waits_for="iframe")
    frame = next(frame for frame in tab.frames if frame.parent_frame)
    frame.wait_for_selector("body[data-shown]")
    assert frame.text_content("h1") == HOSTILE
    frame.check("input[name=layer][value=speed]")
    assert "Shown: speed" in frame.text_content("#shown")


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_nothing_is_wider_than_the_screen(open_page, viewport):
    tab = open_page(Page([make_pair()], title="a" * 300), viewport)
    assert tab.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    sides = tab.eval_on_selector_all(
        "input, select, button, canvas:not([hidden])", "all => all.map(one => one.getBoundingClientRect().right)"
    )
    assert max(sides) <= viewport["width"]


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
def test_a_page_of_1080p_is_small_and_opens(open_page, tmp_path, channels):
    """Grain in the frames, and noise in the flow: what compresses least of what cameras give."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:1080, :1920]
    scene = 120 + 60 * np.sin(x / 17) * np.sin(y / 23) + 40 * np.sin(x * y / 9000)
    frames = [
        np.clip(scene[..., None] + rng.normal(0, 4, (1080, 1920, channels)), 0, 255).astype(np.uint8) for _ in range(2)
    ]
    flow = np.stack([0.01 * (x - 900) + 4 * np.sin(y / 90), 0.02 * (y - 500)], axis=2)
    flow += rng.normal(0, 0.01, flow.shape)
    marks = {"confidence": rng.beta(5, 1, (1080, 1920)), "occlusion": rng.random((1080, 1920)) < 0.02}
    page = Page([Pair(flow, *frames, **marks)])
    tab = open_page(page)
    assert (tmp_path / "page.html").stat().st_size < 15e6
    tab.check("input[name=layer][value=warped]")
    assert "warped back" in tab.text_content("#shown")
