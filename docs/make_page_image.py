"""Take the picture of docs/page.md in a headless Chromium: ``python docs/make_page_image.py``.

It needs playwright (the extra `browser`) and the Chromium of VARIFLOW_CHROMIUM or on the PATH.
"""

import io
import os
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

import variflow
from variflow import datasets

PICTURE = Path(__file__).resolve().parent / "images" / "page.png"


def main():
    pair = datasets.demo()
    result = variflow.estimate(pair.frame0, pair.frame1, "classic-nl")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "page.html"
        result.show_page("Demonstration", pixel_size=25e-6, dt=2e-4).save(path)
        chromium = os.environ.get("VARIFLOW_CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1100, "height": 860})
        tab.goto(path.as_uri())
        tab.wait_for_selector("body[data-shown]")
        tab.check("input[name=layer][value=vorticity]")
        tab.fill("#opacity", "75")
        box = tab.locator("#picture").bounding_box()
        tab.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 0.4 * box["height"])
        tab.mouse.down()
        tab.mouse.move(box["x"] + 0.85 * box["width"], box["y"] + 0.6 * box["height"], steps=3)
        tab.mouse.up()
        seen = tab.screenshot(full_page=True)
        browser.close()
    Image.open(io.BytesIO(seen)).convert("RGB").quantize(256).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
