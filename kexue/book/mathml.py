r"""LaTeX to MathML, so that the pages need no script; and texts with `$…$` and `` `…` `` in them as nodes."""

from __future__ import annotations

import functools
import html
import re
from typing import Any
from xml.etree import ElementTree

from docutils import nodes

INLINE = re.compile(r"\$(?P<math>[^$]+)\$|``(?P<code2>[^`]+)``|`(?P<code>[^`]+)`", re.DOTALL)
# What latex2mathml doesn't know, or renders worse than its equal.
REPLACED = (
    (re.compile(r"\\(?:tfrac|dfrac)(?![A-Za-z])"), r"\\frac"),
    (re.compile(r"\\(?:tbinom|dbinom)(?![A-Za-z])"), r"\\binom"),
    (re.compile(r"\\begin\{aligned\}|\\begin\{align\*?\}"), r"\\begin{split}"),
    (re.compile(r"\\end\{aligned\}|\\end\{align\*?\}"), r"\\end{split}"),
    (re.compile(r"\\operatorname\*?\{([A-Za-z ]+)\}"), r"\\mathrm{\1}"),
    (re.compile(r"\\(?:lvert|rvert)(?![A-Za-z])"), "|"),
    (re.compile(r"\\(?:lVert|rVert)(?![A-Za-z])"), r"\\Vert "),
    (re.compile(r"\\(?:bigl|bigr|Bigl|Bigr|biggl|biggr|big|Big)(?![A-Za-z])"), ""),
    (re.compile(r"\\(?:nolimits|limits|displaystyle|textstyle|!)(?![A-Za-z])"), ""),
    (re.compile(r"\\math(cal|bb|bf|rm|frak)\s+([A-Za-z0-9])"), r"\\math\1{\2}"),
    (re.compile(r"\^\\(top|ast|dagger|star|prime)(?![A-Za-z])"), r"^{\\\1}"),
)
COMMAND_LEFT = re.compile(r"\\[A-Za-z]+")


@functools.cache
def mathml(latex: str, display: bool = False) -> str | None:
    """The formula as a `<math>` element; None if it can't be rendered whole."""
    from latex2mathml.converter import convert_to_element

    text = " ".join(latex.split())
    for pattern, replacement in REPLACED:
        text = pattern.sub(replacement, text)
    try:
        element = convert_to_element(text, display="block" if display else "inline")
    except Exception:  # the converter's own kinds of error are many
        return None
    for part in element.iter():  # the converter writes entities as text, and escapes nothing
        part.text, part.tail = (words and html.unescape(words) for words in (part.text, part.tail))
    if COMMAND_LEFT.search("".join(element.itertext())):
        return None
    return ElementTree.tostring(element, encoding="unicode")


def inline(text: str) -> list[nodes.Node]:
    """A line of text as nodes: `$…$` is mathematics, backticks are code, all else is text, whatever it looks like."""
    found: list[nodes.Node] = []
    end = 0
    for match in INLINE.finditer(text):
        if match.start() > end:
            found.append(nodes.Text(text[end : match.start()]))
        formula = match["math"]
        if formula is None:
            code = match["code2"] or match["code"]
            found.append(nodes.literal(code, code))
        else:
            found.append(formula_node(formula))
        end = match.end()
    if end < len(text):
        found.append(nodes.Text(text[end:]))
    return found


def formula_node(latex: str, display: bool = False) -> nodes.Node:
    """A formula, or its source as code where it can't be rendered."""
    if mathml(latex, display) is None:
        return nodes.literal_block(latex, latex, language="text") if display else nodes.literal(latex, latex)
    kind = nodes.math_block if display else nodes.math
    return kind(latex, latex, nowrap=True, number=None) if display else kind(latex, latex)


def paragraphs(text: str) -> list[nodes.paragraph]:
    """Paragraphs of a docstring, each joined to one line."""
    return [nodes.paragraph("", "", *inline(" ".join(part.split()))) for part in text.strip().split("\n\n") if part]


def visit_math(self: Any, node: nodes.math) -> None:
    self.body.append(mathml(node.astext()) or f"<code>{html.escape(node.astext())}</code>")
    raise nodes.SkipNode


def visit_math_block(self: Any, node: nodes.math_block) -> None:
    rendered = mathml(node.astext(), True) or f"<pre>{html.escape(node.astext())}</pre>"
    self.body.append(f'<div class="formula">{rendered}</div>\n')
    raise nodes.SkipNode
