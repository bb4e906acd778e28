"""Check the built pages, without a network.

Links to pages, headings and files must lead somewhere. Scripts, styles and figures must
be files of the site. No markup may be left in the text.

    python docs/check_pages.py docs/_build/html
"""

import re
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup

LOADED = {"img": "src", "script": "src", "link": "href"}
"""Elements that load a file, with the attribute that names it."""

NOT_LOADED = {"next", "prev", "search", "index", "canonical"}
"""Relations of ``link`` that load nothing."""

MARKUP = re.compile(
    r"\\\(|\\\[|\\begin\{|:\w+:`|``|^\.\. \w+|`_|<BLANKLINE>|# doctest:", re.MULTILINE
)

VERBATIM = "pre, code, script, style, .math, .highlight"
"""Elements whose text may look like markup; MathJax reads those of class ``math``."""


class Page:
    """A page: its names of places, its links, the files it loads, its text."""

    def __init__(self, path):
        self.path = path
        soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        self.anchors = {tag["id"] for tag in soup.select("[id]")}
        self.links = [tag["href"] for tag in soup.select("a[href]")]
        self.loaded = [
            tag[attribute]
            for name, attribute in LOADED.items()
            for tag in soup.select(f"{name}[{attribute}]")
            if not NOT_LOADED & set(tag.get("rel", []))
        ]
        self.problems = [tag.get_text() for tag in soup.select(".problematic")]
        self.summaries = [
            row.get_text() for row in soup.select("table.autosummary td:nth-child(2)")
        ]
        for tag in soup.select(VERBATIM):
            tag.decompose()
        self.text = soup.get_text()


def has_place(page, name):
    return page is None or not name or name in page.anchors


def faults(root):
    """Yield a line per fault of the pages below a folder."""
    pages = {
        path.resolve(): Page(path)
        for path in sorted(root.rglob("*.html"))
        if "_static" not in path.parts
    }
    for path, page in pages.items():
        name = path.relative_to(root.resolve())
        for address in page.loaded:
            where = urlsplit(address)
            if where.scheme == "data":
                continue
            if where.netloc:
                yield f"{name}: {address} is loaded from another site"
            elif not (path.parent / unquote(where.path)).is_file():
                yield f"{name}: there is no file {address}"
        for address in page.links:
            where = urlsplit(address)
            if where.scheme or where.netloc:
                continue
            target = path
            if where.path:
                target = (path.parent / unquote(where.path)).resolve()
            if not target.is_file():
                yield f"{name}: there is no page {address}"
            elif not has_place(pages.get(target), unquote(where.fragment)):
                yield f"{name}: there is no place {address}"
        for text in page.problems:
            yield f"{name}: Sphinx could not resolve {text!r}"
        for text in page.summaries:
            if re.search(r"\[\w+\]", text):
                yield f"{name}: the summary {text!r} has a citation mark"
        for found in MARKUP.finditer(page.text):
            yield f"{name}: raw markup {page.text[found.start() :][:40]!r}"


def main(folder):
    """Print the faults; return how many there are."""
    found = list(faults(Path(folder)))
    print(*found, f"{len(found)} faults in the pages of {folder}", sep="\n")
    return min(len(found), 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
