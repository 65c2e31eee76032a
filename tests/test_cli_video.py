"""`variflow video` as a person types it."""

import os

import numpy as np
import pytest
from typer.testing import CliRunner

import variflow
from variflow import cli
from variflow.datasets import synthetic

pytest.importorskip("av")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frames = [synthetic.translation((64, 80), shift=(1.5 * time, 0)).frame1 for time in range(5)]
    variflow.write_frames("in.mkv", frames, fps=10)
    variflow.write_frames("shot/frame*.png", frames)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(cli.app, ["video", *map(str, arguments)])


def test_a_film_of_a_film(folder):
    result = run("in.mkv", "-o", "out.mp4", "--model", "fast")
    assert result.exit_code == 0, result.output
    assert "wrote 4 flows to out.mp4; full colour is 1.6 px" in result.output
    film = variflow.read_frames("out.mp4")
    assert len(film) == 4
    assert film.fps == pytest.approx(10)
    red = film[0][10:-10, 10:-10].astype(float).mean(axis=(0, 1))
    assert red[0] > 200
    assert red[1:].max() < 80


def test_a_film_of_odd_size_says_that_it_becomes_even(folder):
    result = run("in.mkv", "-o", "out.mp4", "-m", "realtime", "--region", "0,0,63,79")
    assert result.exit_code == 0
    said = "variflow: warning: out.mp4: frames of 79 x 63 pixels become 80 x 64, as .mp4 wants; .mkv keeps them\n"
    assert result.stderr == said


def test_an_mkv_of_too_many_frames_a_second_is_refused_before_any_work(folder):
    variflow.write_frames("fast.mp4", variflow.read_frames("in.mkv"), fps=2000)
    said = "variflow: out.mkv: .mkv holds at most 1000 frames a second, and"
    result = run("fast.mp4", "-o", "out.mkv", "-m", "realtime")
    assert (result.exit_code, result.output) == (1, f"{said} these are 2000 a second; .mp4 takes more\n")
    for command in ("register", "stabilise", "interpolate"):
        result = CliRunner().invoke(cli.app, [command, "fast.mp4", "-o", "out.mkv", "-m", "realtime"])
        assert result.exit_code == 1
        assert result.output.startswith(f"{said} frame 1 is shown 0.000")
    result = run("fast.mp4", "-o", "out.mkv", "-m", "realtime", "--step", "2")
    assert result.exit_code == 0, result.output
    assert variflow.read_frames("out.mkv").times == pytest.approx([0, 0.001])


def test_a_folder_of_flows_of_a_folder(folder):
    result = run("shot", "-o", "flows", "-m", "fast", "--step", "2", "--end", "4")
    assert result.exit_code == 0, result.output
    assert os.listdir("flows") == ["frame000000.flo"]
    flow = variflow.read_flow("flows/frame000000.flo")
    assert np.median(flow[8:-8, 8:-8, 0]) == pytest.approx(3, abs=0.1)


def test_a_region_resized_as_bounded_pictures(folder):
    result = run("in.mkv", "-o", "p", "-m", "fast", "--bound", "4", "--region", "2,4,60,72", "--resize", "36x30")
    assert result.exit_code == 0, result.output
    assert len(os.listdir("p")) == 8
    picture = variflow.read_image("p/flow_x_00000.jpg")
    assert picture.shape == (30, 36)
    assert np.median(picture) == pytest.approx((0.75 + 4) * 255 / 8, abs=3)


def test_pairs_reference_and_mask(folder):
    mask = np.ones((64, 80), np.uint8)
    mask[:10] = 0
    variflow.write_image("mask.png", 255 * mask)
    assert run("in.mkv", "-o", "a", "--to-reference", "1", "--mask", "mask.png", "-m", "realtime").exit_code == 0
    assert sorted(os.listdir("a")) == [f"{number:06d}.flo" for number in (0, 2, 3, 4)]
    result = run("in.mkv", "-o", "b", "--pairs", "-m", "realtime")
    assert result.exit_code == 0
    assert sorted(os.listdir("b")) == ["000000.flo", "000002.flo"]


def test_a_mask_is_cut_and_resized_like_the_frames(folder):
    mask = np.ones((64, 80), np.uint8)
    mask[:34, :44] = 0
    variflow.write_image("mask.png", 255 * mask)
    part = ("--region", "4,4,60,60", "--resize", "30x20")
    assert run("in.mkv", "-o", "a.nc", "-m", "realtime", "--mask", "mask.png", *part).exit_code == 0
    usable = np.ones((20, 30), bool)
    usable[:10, :20] = False
    found = variflow.io.read_fields("a.nc").mask
    np.testing.assert_array_equal(found == 0, np.broadcast_to(usable, found.shape))
    variflow.write_image("mask.png", np.full((20, 30), 255, np.uint8))
    result = run("in.mkv", "-o", "b", "-m", "realtime", "--mask", "mask.png", *part)
    assert result.stderr == "variflow: --mask mask.png has 30 x 20 pixels, wanted 80 x 64, as the frames\n"
    variflow.write_image("shot/frame000002.png", np.zeros((70, 80, 3), np.uint8))
    variflow.write_image("mask.png", 255 * mask)
    result = run("shot", "-o", "b.zarr", "-m", "realtime", "--mask", "mask.png", *part)
    assert result.stderr == "variflow: a frame has 80 x 70 pixels, wanted 80 x 64, as the first\n"


def test_an_array_says_which_part_of_the_frames_its_flows_are_of(folder):
    zarr = pytest.importorskip("zarr")
    assert run("in.mkv", "-o", "a.zarr", "-m", "realtime", "--region", "2,4,60,72", "--resize", "36x30").exit_code == 0
    attributes = zarr.open_array("a.zarr").attrs
    assert (attributes["region"], attributes["resize"]) == ([2, 4, 60, 72], [36, 30])


def test_faults_and_cuts_are_said(folder):
    (folder / "shot" / "frame000001.png").write_bytes(b"no picture")
    result = run("shot", "-o", "flows", "-m", "realtime")
    assert result.exit_code == 1
    assert sorted(os.listdir("flows")) == ["frame000002.flo", "frame000003.flo"]
    assert "no flow of the frames 0 and 1, 1 and 2: " in result.output
    assert "wrote 2 flows to flows" in result.output
    cut = [synthetic.translation((64, 80), shift=(time, 0), seed=9).frame1 / 255 for time in range(3)]
    other = [np.rint(255 * np.clip(2 * frame - 0.7, 0, 1) ** 2).astype(np.uint8) for frame in cut]
    variflow.write_frames("cut.mkv", [*variflow.read_frames("in.mkv"), *other])
    result = run("cut.mkv", "-o", "cut.mp4", "-m", "fast")
    assert result.exit_code == 0, result.output
    assert "another scene begins at frame 5; the flow across a cut means nothing" in result.output


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes with names")
@pytest.mark.parametrize("source", ["shot", "shot/*.png"])
def test_a_link_that_leads_nowhere_and_a_pipe_are_named_and_their_neighbours_done(folder, source):
    (folder / "shot" / "frame000001.png").unlink()
    (folder / "shot" / "frame000001.png").symlink_to("gone.png")
    result = run(source, "-o", "flows.mkv", "-m", "realtime")
    assert result.exit_code == 1
    assert "wrote 2 flows to flows.mkv" in result.output
    said = f"0 and 1, 1 and 2: {os.path.join('shot', 'frame000001.png')}: a link to gone.png, and there is no such file"
    assert f"no flow of the frames {said}\n" in result.output
    result = CliRunner().invoke(cli.app, ["register", source, "-o", "steady.tif", "-m", "realtime"])
    assert result.exit_code == 1
    assert "frame000001.png: a link to gone.png" in result.output
    assert not os.path.exists("steady.tif")
    os.mkfifo(folder / "shot" / "frame000005.png")
    result = CliRunner().invoke(cli.app, ["batch", source, "-o", "flows", "-m", "realtime", "--workers", "1"])
    assert result.exit_code == 1
    assert "2 of 5 pairs have a flow, 0 of them from before; 3 failed" in result.output
    assert "frame000005.png: a pipe, wanted a file" in result.output


@pytest.mark.parametrize("more", [(), ("--mask", "mask.png")])
def test_a_damaged_first_frame_is_one_of_those_that_cannot_be_read(folder, more):
    variflow.write_image("mask.png", np.full((64, 80), 255, np.uint8))
    (folder / "shot" / "frame000000.png").write_bytes(b"no picture")
    result = run("shot", "-o", "flows", "-m", "realtime", *more)
    assert result.exit_code == 1
    assert sorted(os.listdir("flows")) == [f"frame00000{number}.flo" for number in (1, 2, 3)]
    assert "no flow of the frames 0 and 1: " in result.output
    assert run("shot", "-o", "flow.mkv", "-m", "realtime", *more).exit_code == 1
    assert len(variflow.read_frames("flow.mkv")) == 3


@pytest.mark.parametrize("more", [(), ("--bound", "4")])
def test_flows_of_another_film_are_not_mixed_with_the_new_ones(folder, more):
    (folder / "flows").mkdir()
    (folder / "flows" / "notes.txt").write_text("kept")
    assert run("in.mkv", "-o", "flows", "-m", "realtime", *more).exit_code == 0
    before = {path: path.read_bytes() for path in (folder / "flows").iterdir()}
    result = run("shot", "-o", "flows", "-m", "realtime", "--end", "3")
    assert result.exit_code == 1
    first = "flow_x_00000.jpg" if more else "000000.flo"
    said = f"flows: holds {len(before) - 1} files of flows already, such as {first}; wanted a folder without any\n"
    assert result.stderr == f"variflow: {said}"
    assert {path: path.read_bytes() for path in (folder / "flows").iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("in.mkv", "-o", "out.avi"), "out.avi: the name for the flows of a video ends with"),
        (("in.mkv", "-o", "in.mkv"), "--output in.mkv is the same as IN in.mkv"),
        (("nowhere.mp4", "-o", "out.mp4"), "nowhere.mp4: no such file"),
        (("in.mkv", "-o", "out.mp4", "--region", "1,2"), "--region is '1,2', wanted TOP,LEFT,HEIGHT,WIDTH"),
        (("in.mkv", "-o", "out.mp4", "--region", "0,0,70,10"), "whose height is 64 and whose width 80"),
        (("in.mkv", "-o", "out.mp4", "--resize", "0x7"), "--resize is '0x7', wanted WIDTHxHEIGHT"),
        (("in.mkv", "-o", "out.mp4", "--step", "0"), "--step is 0"),
        (("in.mkv", "-o", "out.mp4", "--to-reference", "9"), "--to-reference is 9, wanted the number of a frame"),
        (("in.mkv", "-o", "out.mp4", "--model", "nix"), "--model is 'nix'"),
        (("in.mkv", "-o", "out.mp4", "--bound", "20"), "--bound is given, and only a folder has pictures"),
        (("in.mkv", "-o", "out.mp4", "--bound", "20"), "out.mp4 is none"),
        (("in.mkv", "-o", "out.mp4", "--start", "4"), "in.mkv has fewer than two frames"),
        (("in.mkv", "-o", "flows", "--start", "4"), "in.mkv has fewer than two frames"),
        (("in.mkv", "-o", ""), "--output is empty, wanted a name"),
        (("in.mkv", "-o", os.devnull), f"--output is {os.devnull}, which is a device; wanted a folder or a file"),
        (("shot", "-o", "shot"), "--output shot is the same as IN shot"),
        (("shot/*.png", "-o", "shot"), "--output shot is the folder of the frames, wanted another one"),
        (("in.mkv", "-o", "flows", "--look", "side"), "--look is given, and only a film has it; flows is none"),
        (
            ("in.mkv", "-o", "flows.zarr", "--scale", "3"),
            "--scale is given, and only a film has it; flows.zarr is none",
        ),
        (
            ("in.mkv", "-o", "flows", "--pairs", "--to-reference", "1"),
            "--pairs and --to-reference are both given, wanted one of them",
        ),
    ],
)
def test_one_line_says_what_is_wrong(folder, arguments, message):
    before = sorted(os.listdir())
    result = run(*arguments)
    assert result.exit_code == 1
    assert message in result.output
    assert result.output.count("\n") == 1
    assert sorted(os.listdir()) == before
