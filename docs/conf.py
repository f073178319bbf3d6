"""The site: `make docs` writes it to build/docs, from the repository as it lies: links hold in both."""

import sys
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from eecompile.cli.main import app
from tools.site.commands import reference

project = "eecompile"
author = "the authors of eecompile"
root_doc = "docs/index"
# The source folder is the root of the repository: pages link to sources, and READMEs are pages.
include_patterns = ["docs/**.md", "targets/*/README.md", "examples/README.md", "*.md"]
exclude_patterns = [".*", "build", "runs", "searches", "tests", "eecompile", "passes", "tools", "*.egg-info"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 4
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
pygments_style = "friendly"

html_theme = "furo"
html_title = "eecompile"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_static_path = ["templates/static"]
html_css_files = ["site.css"]
smartquotes = False  # two hyphens begin a flag
# The first page lies in docs/, as in the repository; who opens the folder is sent there.
html_additional_pages = {"index": "first_page.html"}
templates_path = ["templates"]


class Commands(SphinxDirective):
    """``{commands}``: all verbs of the command line with their options."""

    def run(self) -> list[nodes.Node]:
        """Return the sections, as parsed from Markdown."""
        return self.parse_text_to_nodes(reference(app), allow_section_headings=True)


def setup(site: Sphinx) -> None:
    """Register the directive."""
    site.add_directive("commands", Commands)
