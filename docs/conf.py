"""The documentation as a site.

pip install ".[docs]" && python -m sphinx --fail-on-warning --keep-going -b html docs out/site
"""

import importlib
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml
from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

import variflow

project, author = "variflow", "the variflow developers"
version = release = variflow.__version__
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["images", "gallery"]
html_theme = "pydata_sphinx_theme"
html_title = "variflow"
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": True, "show_prev_next": False}
html_sidebars = {"reference/*": []}
html_static_path = ["static", str(Path(find_spec("ziamath").origin).parent / "fonts")]  # a font with signs that stretch
html_css_files = ["site.css"]
html_math_renderer = "mathml"

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["config.cache"]  # the scraper below is a function, and builds anew every time
autosummary_generate = True
autodoc_typehints = "none"  # the docstrings say the types with shapes and units
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

# The modules of the reference, and what each is for, from their docstrings.
MODULES = (
    "variflow",
    "variflow.models",
    "variflow.energy",
    "variflow.solve.relaxation",
    "variflow.solve.primal_dual",
    "variflow.solve.lucas_kanade",
    "variflow.solve.conjugate_gradient",
    "variflow.unknowns",
    "variflow.filters",
    "variflow.matching",
    "variflow.flowops",
    "variflow.video",
    "variflow.batching",
    "variflow.io",
    "variflow.datasets",
    "variflow.datasets.synthetic",
    "variflow.metrics",
    "variflow.evaluation",
    "variflow.view",
    "variflow.page",
    "variflow.compat.skimage",
    "variflow.compat.opencv",
    "variflow.compat.opencv.optflow",
)
FOLDER = Path(__file__).parent / "reference"


def scrape_figure(block, block_vars, gallery_conf):
    """Save the figure that a block of a gallery page ends with; ours are not those of pyplot."""
    figure = block_vars["example_globals"].get("___")
    if not isinstance(figure, Figure) or figure in drawn:
        return ""
    drawn.append(figure)
    path = next(block_vars["image_path_iterator"])
    figure.savefig(path, dpi=120)
    return figure_rst([path], gallery_conf["src_dir"])


drawn = []
sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "examples",
    "backreferences_dir": "reference/examples",
    "doc_module": ("variflow",),
    "image_scrapers": (scrape_figure,),
    "capture_repr": ("_repr_html_",),
    "show_memory": False,
    "download_all_examples": False,
    "abort_on_example_error": True,
}


def write_reference(app, config):
    """Write a page for each public module, with a table of what it has: each has a page of its own."""
    shutil.rmtree(FOLDER, ignore_errors=True)  # names that are gone would stay
    FOLDER.mkdir()
    seen = set()  # what several modules show is described once
    for name in MODULES:
        module = importlib.import_module(name)
        names = [
            each for each in module.__all__ if callable(getattr(module, each)) and getattr(module, each) not in seen
        ]
        seen.update(getattr(module, each) for each in names)
        lines = [name, "=" * len(name), "", f".. currentmodule:: {name}", "", module.__doc__.split("\n\n")[0], ""]
        lines += [".. autosummary::", "   :toctree: names", "", *(f"   {each}" for each in sorted(names))]
        (FOLDER / f"{name}.rst").write_text("\n".join(lines) + "\n")
    index = ["Reference", "=========", "", ".. toctree::", "   :maxdepth: 1", "", *(f"   {name}" for name in MODULES)]
    (FOLDER / "index.rst").write_text("\n".join(index) + "\n")


def name_files(app, document, source):
    """Name files of the repository in place of links to them: they are not on the site."""
    source[0] = re.sub(
        r"\[([^\]]*)\]\(\.\./([^)#]*)[^)]*\)",
        lambda found: f"`{found[2]}`" if found[1] in (found[2], "results") else f"{found[1]} (`{found[2]}`)",
        source[0],
    )


def show_inline(translator, node):
    """Write an equation as MathML, which browsers show by themselves: the site loads nothing from elsewhere."""
    translator.body.append(tex2mathml(node.astext()))
    raise SkipNode


def show_block(translator, node):
    translator.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", inline_renderers=(show_inline, None), block_renderers=(show_block, None))
    app.connect("config-inited", write_reference)  # before the pages are listed
    app.connect("source-read", name_files)
