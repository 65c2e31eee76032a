"""The documentation as a site: equations are shown by the browser itself, and nothing is loaded from elsewhere."""

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
NEEDED = "sphinx", "myst_parser", "numpydoc", "pydata_sphinx_theme", "sphinx_gallery", "ziamath"


@pytest.fixture(scope="module")
def equations(tmp_path_factory):
    """The page of equations, built alone: the gallery takes a minute."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        pytest.skip(f"the site needs {', '.join(missing)}")
    folder = tmp_path_factory.mktemp("site")
    for name in ("conf.py", "equations.md"):
        shutil.copy(DOCS / name, folder / name)
    shutil.copytree(DOCS / "static", folder / "static")
    settings = {
        "root_doc": "equations",
        "extensions": "myst_parser",
        "exclude_patterns": "reference",
        "suppress_warnings": "myst.xref_missing,config.cache",
    }
    command = [sys.executable, "-m", "sphinx", "-q", "--fail-on-warning", "-b", "html"]
    command += [part for name, value in settings.items() for part in ("-D", f"{name}={value}")]
    subprocess.run([*command, folder, folder / "html"], check=True, capture_output=True, text=True)
    return folder / "html" / "equations.html"


@pytest.mark.slow
@pytest.mark.parametrize("width", [1400, 420])
def test_equations_are_shown_without_the_network(browser, equations, width):
    context = browser.new_context(viewport={"width": width, "height": 900})
    tab, asked = context.new_page(), []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(equations.as_uri())
    tab.evaluate("document.fonts.ready")
    folder = equations.parent.as_uri()
    assert [url for url in asked if not url.startswith((folder, "data:"))] == []
    assert any(url.endswith("STIXTwoMath-Regular.ttf") for url in asked)
    # A fraction: its parts lie one above the other.
    parts = "[...document.querySelector('mfrac').children].map(part => part.getBoundingClientRect())"
    boxes = tab.evaluate(f"{parts}.map(box => [box.top, box.bottom])")
    assert boxes[0][0] < boxes[0][1] < boxes[1][0] < boxes[1][1]
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def test_promises_name_tests_that_exist():
    text = (DOCS / "limits.md").read_text()
    files = set(re.findall(r"`(test_\w+\.py)`", text))
    tests = set(re.findall(r"`(test_\w+)`", text))
    written = {name: (HERE / name).read_text() for name in files}
    assert len(tests) > 10
    for test in tests:
        assert any(f"def {test}(" in source for source in written.values()), f"docs/limits.md names {test}"
