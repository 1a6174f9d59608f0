"""Writes the Sphinx project of the book and runs it."""

from __future__ import annotations

import json
import os
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

from . import pages

CONF = '''\
project = "kexue"
html_title = "kexue"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "kexue.book.pages"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
myst_enable_extensions = ["colon_fence"]
default_role = "code"
html_theme = "pydata_sphinx_theme"
html_math_renderer = "mathml"
html_search_language = "kexue"
html_static_path = ["static"]
html_favicon = "static/favicon.svg"
html_css_files = ["book.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "show_prev_next": False,
    "navbar_align": "left",
    "header_links_before_dropdown": 8,
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "tango",
    "pygments_dark_style": "monokai",
}
html_sidebars = {"index": [], "errata": [], "models": [], "benchmarks": [], "verdicts": [], "add": []}
html_context = {"default_mode": "auto"}
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
copyright = "the authors of kexue, Apache-2.0"
suppress_warnings = ["myst.header", "ref.term"]
nitpicky = False
'''


def build(data: dict[str, Any], out: Path, work: Path, figures: Path) -> int:
    """Builds the site.

    Args:
        data: what `kexue.book.data.gather` returns.
        out: the folder of the site; what is in it is replaced.
        work: a folder for the project and for what Sphinx keeps between runs.
        figures: the folder of the figures that data names.

    Returns:
        Sphinx's exit status; 0 also means that it had nothing to warn of.
    """
    from sphinx.cmd.build import build_main

    source = work / "source"
    write_project(data, source, figures)
    jobs = str(max(1, os.cpu_count() or 1))
    options = ["-q", "-W", "--keep-going", "-j", jobs, "-b", "html", "-d", str(work / "doctrees")]
    return int(build_main([*options, str(source), str(out)]))


def write_project(data: dict[str, Any], source: Path, figures: Path) -> None:
    """The project: hand-written pages, one stub for each generated page, and the data."""
    keep = {"figures"}
    if source.is_dir():
        for path in source.iterdir():
            if path.name not in keep:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    (source / "figures").mkdir(parents=True, exist_ok=True)
    drawn = [figure for article in data["articles"] for figure in article["figures"]]
    drawn += [group["figure"] for result in data["benchmarks"] for group in result["groups"] if group["figure"]]
    for figure in drawn:
        shutil.copyfile(figures / figure["file"], source / "figures" / figure["file"])
    (source / "conf.py").write_text(CONF, encoding="utf-8")
    (source / "book.json").write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
    here = files("kexue.book")
    (source / "static").mkdir(exist_ok=True)
    for item in here.joinpath("static").iterdir():
        (source / "static" / item.name).write_bytes(item.read_bytes())
    for item in here.joinpath("texts").iterdir():
        if item.name.endswith(".md"):
            (source / item.name).write_text(item.read_text(encoding="utf-8"), encoding="utf-8")
    for stub, text in stubs(data).items():
        place = source / stub
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")


def stubs(data: dict[str, Any]) -> dict[str, str]:
    """File name -> a title and the directive that makes the page. Titles come from the registry and from modules."""
    found = {}
    begun = [a for a in data["articles"] if a["claims"]]
    for article in begun:
        found[f"articles/{article['slug']}.md"] = generated(article["titles"][0]["en"], f"article {article['slug']}")
    found["articles/index.md"] = contents("Articles", [a["slug"] for a in begun])
    engines = pages.parsed(data)["uses"]
    for name in engines:
        found[f"engines/{pages.engine_slug(name)}.md"] = generated(name, f"engine {name}")
    found["engines/index.md"] = contents("Engines", [pages.engine_slug(e) for e in engines], "engines")
    rooms = [(a["slug"], a["rooms"]) for a in begun]
    found["api/index.md"] = contents("API reference", ["kexue", *(slug for slug, _ in rooms)])
    found["api/kexue.rst"] = api("kexue", ["kexue", "kexue.claims", "kexue.findings", "kexue.judge", "kexue.results"])
    for slug, held in rooms:
        found[f"api/{slug}.rst"] = api(slug, [f"kexue.{room}.{slug}" for room in held])
    return found


def generated(title: str, page: str) -> str:
    return f"# {escaped(title)}\n\n```{{kexue}} {page}\n```\n"


def escaped(title: str) -> str:
    return "".join("\\" + c if c in "\\`*_{}[]<>#$|" else c for c in title)


def contents(title: str, names: list[str], page: str = "") -> str:
    toctree = "\n".join(names)
    body = f"```{{kexue}} {page}\n```\n\n" if page else ""
    return f"# {title}\n\n{body}```{{toctree}}\n:maxdepth: 1\n\n{toctree}\n```\n"


def api(title: str, modules: list[str]) -> str:
    parts = [f"{title}\n{'=' * len(title)}\n"]
    for module in modules:
        parts.append(f"{module}\n{'-' * len(module)}\n")
        parts.append(f".. automodule:: {module}\n   :members:\n   :show-inheritance:\n")
    return "\n".join(parts)
