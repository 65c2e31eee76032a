"""What several test files share: the published data, where it is present, and a disk that is full."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

from variflow import _core, datasets
from variflow.datasets import Sample

# The same examples in every run: what fails is then due to the change that is tested.
settings.register_profile("same", derandomize=True)
settings.load_profile("same")


@pytest.fixture(scope="session", autouse=True)
def _no_programs_on_disk() -> None:
    """Compile anew: no test may depend on what one before it has left in the user's cache folder."""
    os.environ["VARIFLOW_CACHE"] = "0"


@pytest.fixture(scope="session", autouse=True)
def _more_threads_than_cpus() -> None:
    """Let tests ask for more threads than there are CPUs, and get them: results must not depend on their number."""
    threads = _core.get_threads()
    _core.limit_threads(16, within_affinity=False)
    _core.set_threads(threads)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of published pairs: $VARIFLOW_DATA, or shared/data beside the repository."""
    said = os.environ.get("VARIFLOW_DATA")
    folder = Path(said) if said else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no data at {folder}; set VARIFLOW_DATA to the folder that holds middlebury/")
    return folder


@pytest.fixture(scope="session")
def middlebury(data: Path) -> dict[str, Sample]:
    """By name: the eight samples with frame0, frame1 (uint8 RGB) and flow (the truth, NaN where unknown)."""
    folder = data / "middlebury"
    if not folder.is_dir():
        pytest.skip(f"no Middlebury pairs at {folder}")
    return {sample.name: sample for sample in datasets.middlebury(folder) if sample.flow is not None}


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium: that of $VARIFLOW_CHROMIUM, one on the PATH, or what `playwright install chromium` brought.

    Without one, tests are skipped, unless $VARIFLOW_NEEDS_CHROMIUM is set: then they fail.
    """
    lacking = pytest.fail if os.environ.get("VARIFLOW_NEEDS_CHROMIUM") else pytest.skip
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        lacking("no playwright; pip install '.[browser]' brings it")
    said = os.environ.get("VARIFLOW_CHROMIUM")
    found = said or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        except Error as error:
            lacking(f"no Chromium that starts; set VARIFLOW_CHROMIUM to one: {str(error).splitlines()[0]}")
        yield started
        started.close()


@pytest.fixture
def open_page(browser, tmp_path):
    """What opens a page, and in the end asserts that it asked for nothing but itself and said nothing."""
    opened = []

    def open_it(page, viewport=None, name="page.html", waits_for="body[data-shown]"):
        path = tmp_path / name
        if page is not None:
            page.save(path)
        context = browser.new_context(viewport=viewport or {"width": 1500, "height": 1000}, accept_downloads=True)
        tab = context.new_page()
        said, asked = [], []
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("dialog", lambda dialog: said.append(dialog.message))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(path.as_uri())
        tab.wait_for_selector(waits_for, state="attached")
        opened.append((context, said, asked, path))
        return tab

    yield open_it
    for context, said, asked, path in opened:
        context.close()
        assert said == []
        assert [url for url in asked if not url.startswith(path.parent.as_uri())] == []
        assert path.name == "report.html" or asked == [path.as_uri()]


@pytest.fixture
def small_disk():
    """What lets no file grow beyond so many bytes, as on a disk that is full."""
    resource = pytest.importorskip("resource", reason="the limit of files is that of POSIX")

    @contextmanager
    def limited(most=200):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, ignored)

    return limited
