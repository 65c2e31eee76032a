"""Downloads, from a server on this machine that can break off."""

from __future__ import annotations

import hashlib
import io
import re
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from typer.testing import CliRunner

import variflow
from variflow import cli
from variflow.datasets import fetch as fetching
from variflow.datasets import load
from variflow.datasets.fetch import ARCHIVES, Archive, fetch

pytest.importorskip("pooch", reason="pooch is not installed: pip install 'variflow[download]'")


class Server(ThreadingHTTPServer):
    """Serves files, understands ranges, and can stop in the middle of an answer."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {}
        self.break_after = None
        self.ranges = True
        self.asked = []  # the range of each request

    def url(self, name):
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.asked.append(asked)
        content = server.files.get(self.path[1:])
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and server.ranges else 0
        status = 404 if content is None else 416 if start and start >= len(content) else 206 if start else 200
        body = content[start:] if status in (200, 206) else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.break_after])
        self.close_connection = True

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    with Server() as running:
        running.files["piv.zip"] = archive()
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setitem(ARCHIVES, "piv", (Archive(running.url("piv.zip")),))
        yield running
        running.shutdown()
        thread.join()


def archive(folder="uniform", size=160):
    """A tiny PIV archive as published, large enough to be cut."""
    frames = np.random.default_rng(1).integers(0, 256, (2, size, size), np.uint8)
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as file:
        for number, frame in enumerate(frames, start=1):
            encoded = f"P5 {size} {size} 255\n".encode() + frame.tobytes()
            file.writestr(f"{folder}/{folder}_00001_img{number}.tif", encoded)
        header = np.array([202021.25], "<f4").tobytes() + np.array([size, size], "<i4").tobytes()
        file.writestr(f"{folder}/{folder}_00001_flow.flo", header + bytes(8 * size * size))
    return stored.getvalue()


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_what_is_fetched_can_be_loaded(server, tmp_path):
    seen = []
    assert fetch("piv", tmp_path / "data", lambda *state: seen.append(state)) == tmp_path / "data"
    found = load("piv", tmp_path / "data")
    assert found.names == ["uniform_00001"]
    assert found[0].valid.all()
    size = len(server.files["piv.zip"])
    assert seen[-1] == ("piv.zip", size, size)
    assert names(tmp_path / "data") == [
        ".piv.zip.done",
        *(f"uniform/uniform_00001_{part}" for part in ("flow.flo", "img1.tif", "img2.tif")),
    ]
    fetch("piv", tmp_path / "data")
    assert server.asked == [None]  # not fetched again


def test_a_download_that_broke_off_goes_on(server, tmp_path):
    server.break_after = 100_000
    with pytest.raises(OSError, match=r"piv\.zip: broke off after \d+ of \d+ bytes; fetch it again to go on"):
        fetch("piv", tmp_path)
    assert names(tmp_path) == [".piv.zip.part"]
    have = (tmp_path / ".piv.zip.part").stat().st_size
    assert 0 < have <= 100_000
    server.break_after = None
    fetch("piv", tmp_path)
    assert server.asked == [None, f"bytes={have}-"]
    assert load("piv", tmp_path)[0].frame0.shape == (160, 160)


@pytest.mark.parametrize("most", [50_000, 150_000])
def test_a_full_disk_is_said_and_the_download_goes_on(server, tmp_path, small_disk, most):
    """It ends while the archive comes; what came is kept."""
    fetch("piv", tmp_path / "whole")
    with small_disk(most), pytest.raises(OSError, match="File too large") as caught:
        fetch("piv", tmp_path / "data")
    assert caught.value.filename == str(tmp_path / "data")
    assert names(tmp_path / "data") == [".piv.zip.part"]
    fetch("piv", tmp_path / "data")
    assert names(tmp_path / "data") == names(tmp_path / "whole")


def test_two_fetches_into_one_folder_do_not_mix(server, tmp_path):
    """One part belongs to both of them."""
    server.break_after = 100_000
    with pytest.raises(OSError, match="broke off"):
        fetch("piv", tmp_path)
    server.break_after = None
    both = [threading.Thread(target=fetch, args=("piv", tmp_path)) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert len(server.asked) == 2  # the second of them found everything there
    assert load("piv", tmp_path)[0].valid.all()
    assert [name for name in names(tmp_path) if name.startswith(".")] == [".piv.zip.done"]


def test_a_server_without_ranges_begins_again(server, tmp_path):
    server.break_after, server.ranges = 100_000, False
    with pytest.raises(OSError, match="broke off"):
        fetch("piv", tmp_path)
    server.break_after = None
    fetch("piv", tmp_path)
    assert load("piv", tmp_path)[0].frame0.shape == (160, 160)


def test_a_part_longer_than_the_file_is_thrown_away(server, tmp_path):
    (tmp_path / ".piv.zip.part").write_bytes(bytes(1_000_000))
    fetch("piv", tmp_path)
    assert server.asked == ["bytes=1000000-", None]
    assert len(load("piv", tmp_path)) == 1


def test_another_checksum_or_a_damaged_archive_leaves_nothing(server, tmp_path, monkeypatch):
    url = server.url("piv.zip")
    monkeypatch.setitem(ARCHIVES, "piv", (Archive(url, "0" * 64),))
    with pytest.raises(ValueError, match=r"hash of downloaded file \(piv\.zip\) does not match"):
        fetch("piv", tmp_path)
    monkeypatch.setitem(ARCHIVES, "piv", (Archive(url, hashlib.sha256(server.files["piv.zip"]).hexdigest()),))
    fetch("piv", tmp_path / "right")
    damaged = bytearray(server.files["piv.zip"])
    damaged[2000] ^= 1  # within the first frame, which its CRC tells
    server.files["piv.zip"] = bytes(damaged)
    monkeypatch.setitem(ARCHIVES, "piv", (Archive(url),))
    with pytest.raises(ValueError, match=r"piv\.zip: the download is no sound ZIP file: Bad CRC"):
        fetch("piv", tmp_path)
    (tmp_path / "right").rename(tmp_path.with_name("elsewhere"))
    assert names(tmp_path) == []


def test_names_cannot_leave_the_folder(server, tmp_path):
    server.files["piv.zip"] = archive("../../outside")
    fetch("piv", tmp_path / "deep" / "er")
    assert all(name.startswith("deep/er/") for name in names(tmp_path))


def test_on_the_command_line(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli.app, ["datasets", "fetch", "piv"])
    assert done.exit_code == 0, done.output
    assert "fetched piv: variflow eval --dataset piv:piv --model balanced" in done.output
    listed = CliRunner().invoke(cli.app, ["datasets"]).output
    assert re.search(r"^piv +fetch +PIV", listed, re.MULTILINE)
    assert re.search(r"^kitti2012 +KITTI 2012", listed, re.MULTILINE)
    monkeypatch.setitem(ARCHIVES, "hd1k", (Archive(server.url("missing.zip")),))
    for name, message in (("kitti2012", "that can be fetched: middlebury"), ("hd1k", "404")):
        failed = CliRunner().invoke(cli.app, ["datasets", "fetch", name])
        assert failed.exit_code == 1
        assert message in failed.stderr
        assert len(failed.stderr.splitlines()) == 1


def test_without_pooch_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(fetching.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'variflow\[download\]'"):
        fetch("piv", tmp_path)


def test_every_archive_is_of_a_data_set():
    assert set(ARCHIVES) <= set(variflow.datasets.names())
    assert all(archive.url.endswith(".zip") for archives in ARCHIVES.values() for archive in archives)
