"""The report of an evaluation in a headless Chromium."""

import pytest

from variflow.datasets import Sample, synthetic
from variflow.evaluation import Table, report

HOSTILE = "</title></script><script>window.hurt = 1</script>\"'<img src=x onerror='window.hurt = 2'>"
WIDE, NARROW = {"width": 1500, "height": 1000}, {"width": 400, "height": 800}


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_the_report_of_an_evaluation_opens_and_shows_its_pictures(open_page, tmp_path, viewport):
    pair = synthetic.translation((24, 32), shift=(1.0, 0.5))
    sample = Sample(HOSTILE, pair.frame0, pair.frame1, flow=pair.flow)
    table = Table()
    key = HOSTILE, sample.name, "<b>brox</b>"
    table.add(dict(zip(("dataset", "pair", "model"), key, strict=True)) | {"epe": 0.25, "pixels": 768.0})
    report.draw(tmp_path, key, pair.flow, sample)
    report.write(tmp_path, table)
    tab = open_page(None, viewport, name="report.html", waits_for="table")
    assert tab.evaluate("window.hurt") is None
    assert HOSTILE in tab.locator("h2").all_text_contents()
    assert tab.locator("td >> text=<b>brox</b>").count() >= 1
    tab.evaluate("document.images[3].scrollIntoView()")  # they are loaded when they are near the screen
    tab.wait_for_function("[...document.images].every(one => one.complete && one.naturalWidth > 0)")
    assert tab.evaluate("document.images.length") == 4
    assert tab.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
