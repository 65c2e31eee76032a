"""Download the data sets whose authors offer them as plain files.

Data sets that need a registration or a torrent (KITTI, FlyingThings3D, Spring, VIPER) are not fetched here; their pages
say how to get them.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from variflow.base.choices import suggest
from variflow.io.atomic import name_errors
from variflow.io.locking import lock_folder, make_folder
from variflow.io.paths import check_path

__all__ = ["ARCHIVES", "Archive", "fetch"]


def __dir__() -> list[str]:
    return sorted(__all__)


Progress = Callable[[str, int, int | None], None]


class Archive(NamedTuple):
    """A ZIP file to download and unpack.

    Parameters
    ----------
    url : str
        Where it is.
    sha256 : str or None
        Its checksum, if it is known. Otherwise only the checksums inside the ZIP file are compared.
    """

    url: str
    sha256: str | None = None


def _list_archives(base: str, *names: str) -> tuple[Archive, ...]:
    return tuple(Archive(f"{base}/{name}.zip") for name in names)


ARCHIVES: dict[str, tuple[Archive, ...]] = {
    "middlebury": _list_archives(
        "https://vision.middlebury.edu/flow/data/comp/zip", "other-color-twoframes", "other-gt-flow", "other-gt-interp"
    ),
    "sintel": _list_archives("http://files.is.tue.mpg.de/sintel", "MPI-Sintel-complete"),
    "flyingchairs": _list_archives("https://lmb.informatik.uni-freiburg.de/data/FlyingChairs", "FlyingChairs"),
    "hd1k": _list_archives("http://hci-benchmark.iwr.uni-heidelberg.de/media/downloads", "hd1k_input", "hd1k_flow_gt"),
    "piv": _list_archives(
        "https://github.com/shengzesnail/PIV_dataset/raw/master/PIV-genImages/data",
        *("DNS_turbulence", "JHTDB_channel", "JHTDB_isotropic1024", "JHTDB_mhd1024"),
        *("SQG", "backstep", "cylinder", "uniform"),
    ),
}


def fetch(name: str, folder: str | os.PathLike[str], progress: Progress | None = None) -> Path:
    """Download a data set and unpack it into a folder that :func:`variflow.datasets.load` reads.

    If a download breaks off, fetching again resumes it. An archive that was unpacked before is not fetched again. One
    process at a time fetches into a folder; another one waits.

    Parameters
    ----------
    name : str
        A data set of :data:`ARCHIVES`.
    folder : str or os.PathLike
        Where its folders go; created if it does not exist.
    progress : callable, optional
        Called as ``progress(file, bytes so far, bytes in all or None)``.

    Returns
    -------
    folder : Path
        The folder.

    Raises
    ------
    ValueError
        If its authors offer no plain download, or the download is damaged.
    ImportError
        If pooch is not installed.
    OSError
        If a download fails.
    """
    if name not in ARCHIVES:
        hint = suggest(name, ARCHIVES)
        known = ", ".join(ARCHIVES)
        raise ValueError(f"name is {name!r}, wanted one that can be fetched: {known}; see docs/datasets.md{hint}")
    if importlib.util.find_spec("pooch") is None:
        raise ImportError("fetching data needs pooch: pip install 'variflow[download]'", name="pooch")
    check_path(folder, "folder", "the name of a folder")
    target = Path(folder)
    make_folder(target)
    for archive in ARCHIVES[name]:
        with name_errors(target), lock_folder(target):
            _fetch(archive, target, progress)
    return target


def _fetch(archive: Archive, folder: Path, progress: Progress | None) -> None:
    import pooch

    file = archive.url.rpartition("/")[2]
    done = folder / f".{file}.done"  # says that it was unpacked, so that the archive itself need not stay
    if done.exists():
        return
    pooch.get_logger().setLevel("WARNING")
    downloader = _Resuming(folder / f".{file}.part", progress)
    checksum = None if archive.sha256 is None else f"sha256:{archive.sha256}"
    path = Path(pooch.retrieve(archive.url, checksum, fname=file, path=folder, downloader=downloader))
    try:
        _unpack(path, folder)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{archive.url}: the download is no sound ZIP file: {error}") from error
    finally:
        path.unlink()
    done.touch()


def _unpack(path: Path, folder: Path) -> None:
    """Unpack into a temporary folder beside, then move file by file: each appears complete or not at all."""
    beside = folder / f".{path.name}.unpacked"
    shutil.rmtree(beside, ignore_errors=True)
    try:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(beside)  # checks the checksum of every file, and keeps names within the folder
        for source in sorted(beside.rglob("*")):
            goal = folder / source.relative_to(beside)
            if source.is_dir():
                goal.mkdir(exist_ok=True)
            else:
                os.replace(source, goal)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


class _Resuming:
    """A downloader for pooch that keeps a partial download and asks only for the rest."""

    def __init__(self, part: Path, progress: Progress | None) -> None:
        self.part = part
        self.progress = progress

    def __call__(self, url: str, output_file: str | os.PathLike[str], pooch: object) -> None:
        import requests

        have = self.part.stat().st_size if self.part.exists() else 0
        # "identity": the bytes of the file itself, so that a range of them can be asked for.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with requests.get(url, headers=headers, stream=True, timeout=30) as response:
            if response.status_code == 416:  # nothing lies beyond what we have: it is another file, or whole
                self.part.unlink()
                return self(url, output_file, pooch)
            response.raise_for_status()
            if response.status_code != 206:
                have = 0
            length = response.headers.get("Content-Length")
            total = None if length is None else have + int(length)
            with self.part.open("ab" if have else "wb") as file, suppress(requests.RequestException):
                for chunk in response.iter_content(1 << 16):
                    file.write(chunk)
                    have += len(chunk)
                    if self.progress is not None:
                        self.progress(self.part.name.removeprefix(".").removesuffix(".part"), have, total)
        if total is not None and have != total:
            raise OSError(f"{url}: broke off after {have} of {total} bytes; fetch it again to go on")
        os.replace(self.part, output_file)
        return None
