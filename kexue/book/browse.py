"""Opens a built book in a headless browser and lists what is wrong with it."""

from __future__ import annotations

import contextlib
import functools
import shutil
import threading
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTHS = (390, 1440)
# LaTeX that was left as text, outside of code and of evidence that is shown as it came.
LEFT_OVER = r"""() => {
  const skip = 'code, pre, script, style, .evidence, .config, math annotation';
  const walker = document.createTreeWalker(document.querySelector('article') || document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const { data, parentElement } = walker.currentNode;
    if (!parentElement.closest(skip) && /\$|\\[A-Za-z]+/.test(data)) found.push(data.trim().slice(0, 80));
  }
  return found;
}"""
BROKEN_IMAGES = """() => [...document.images].filter(i => !i.alt || (i.complete && !i.naturalWidth)).map(i => i.src)"""
WIDE = """() => document.documentElement.scrollWidth - document.documentElement.clientWidth"""


def browser() -> str | None:
    """The path of an installed Chromium or Chrome; None if there is none."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def problems(site: Path, searches: Sequence[str] = (), *, widths: Sequence[int] = WIDTHS) -> list[str]:
    """What is wrong: broken links and anchors, errors on the console, LaTeX left as text, a page wider than the screen,
    pictures that are missing or say nothing, terms that the search doesn't find.

    Raises:
        FileNotFoundError: no browser is installed.
    """
    found = broken_links(site)
    with opened(site) as (address, chromium):
        for width in widths:
            tab = chromium.new_page(viewport={"width": width, "height": 900})
            errors: list[str] = []
            tab.on("console", lambda m, held=errors: held.append(m.text) if m.type == "error" else None)
            tab.on("pageerror", lambda e, held=errors: held.append(str(e)))
            tab.on("dialog", lambda d, held=errors: (held.append(f"a dialog: {d.message}"), d.dismiss()))
            for file in pages_of(site):
                name = file.relative_to(site).as_posix()
                tab.goto(f"{address}/{name}")
                errors += [f"LaTeX left: {text}" for text in tab.evaluate(LEFT_OVER)]
                errors += [f"picture without text or data: {src}" for src in tab.evaluate(BROKEN_IMAGES)]
                if (over := tab.evaluate(WIDE)) > 0:
                    errors.append(f"{over} pixels too wide")
                found += [f"{name} at {width}: {e}" for e in errors]
                errors.clear()
            tab.close()
        tab = chromium.new_page()
        for term in searches:
            tab.goto(f"{address}/search.html?q={term}")
            try:
                tab.wait_for_selector("ul.search li a", timeout=5000)
            except Exception:  # playwright's own time-out
                found.append(f"the search for {term!r} finds nothing")
    return found


def pages_of(site: Path) -> list[Path]:
    """All pages, without the templates among a theme's files."""
    return sorted(file for file in site.rglob("*.html") if "_static" not in file.parts)


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = dict(attrs)
        if name := held.get("id"):
            self.ids.add(name)
        for key in ("href", "src"):
            if tag in ("a", "img", "script", "link") and held.get(key):
                self.links.append(str(held[key]))


def broken_links(site: Path) -> list[str]:
    """Links within the site to files or anchors that aren't there."""
    pages: dict[Path, _Anchors] = {}
    for file in pages_of(site):
        parser = _Anchors()
        parser.feed(file.read_text(encoding="utf-8"))
        pages[file.resolve()] = parser
    found = []
    for file, parser in pages.items():
        for link in parser.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            there = target.exists()
            anchor = unquote(parts.fragment)
            if there and anchor and target in pages:
                there = anchor in pages[target].ids or anchor == "top"
            if not there:
                found.append(f"{file.relative_to(site.resolve())}: broken link {link}")
    return found


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        return


@contextlib.contextmanager
def served(site: Path) -> Iterator[str]:
    """The site on a free port of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()


@contextlib.contextmanager
def opened(site: Path) -> Iterator[tuple[str, Any]]:
    """The address of the served site, and a headless browser.

    Raises:
        FileNotFoundError: no browser is installed.
    """
    path = browser()
    if path is None:
        raise FileNotFoundError(f"no browser is installed: one of {', '.join(BROWSERS)} is needed")
    from playwright.sync_api import sync_playwright

    with served(site) as address, sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield address, chromium
        finally:
            chromium.close()


def screenshot(site: Path, page: str, file: Path, *, width: int = 1200, height: int = 820) -> None:
    """A picture of a page; the README's is that of a full book's index.html."""
    with opened(site) as (address, chromium):
        tab = chromium.new_page(viewport={"width": width, "height": height})
        tab.goto(f"{address}/{page}")
        tab.wait_for_load_state("networkidle")
        tab.screenshot(path=str(file))
