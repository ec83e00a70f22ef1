"""A notebook's cells as HTML that runs no script and loads nothing."""

import html
import json
import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import mistune
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
ACTIVE = re.compile(r"(?is)<(script|iframe|object|embed|link|meta|base|form)\b.*?(</\1\s*>|/?>)")
HIDDEN_TAGS = {"injected-parameters", "parameters", "hide"}
OF_PAPERMILL = {"papermill-error-cell-tag"}  # the verdict on top of the report says it better
MAX_TEXT = 20_000


def code_style() -> str:
    """Of highlighted code, light; the page's dark theme inverts it."""
    return str(HtmlFormatter(style="friendly").get_style_defs(".code"))


def render_cells(notebook: Path) -> str:
    """Empty where the notebook was never saved."""
    try:
        cells = json.loads(notebook.read_text("utf-8"))["cells"]
    except (OSError, ValueError, KeyError):
        return ""
    return "".join(_cell(cell) for cell in cells)


def _cell(cell: dict[str, Any]) -> str:
    source = "".join(cell["source"])
    tags = set(cell.get("metadata", {}).get("tags", []))
    if tags & OF_PAPERMILL:
        return ""
    if cell["cell_type"] == "markdown":
        return f'<div class="prose">{mistune.html(_escape_tags(source))}</div>'
    if cell["cell_type"] != "code" or not source.strip():
        return ""
    code = "" if tags & HIDDEN_TAGS else _code(source)
    return code + "".join(_outputs(cell.get("outputs", [])))


def _escape_tags(source: str) -> str:
    """Markdown of a notebook may hold raw HTML; a report shows it as text."""
    return source.replace("<", "&lt;")


def _code(source: str) -> str:
    shown = highlight(source, PythonLexer(), HtmlFormatter(cssclass="code"))
    return f"<details><summary>code</summary>{shown}</details>"


def _outputs(outputs: Sequence[dict[str, Any]]) -> Iterator[str]:
    for output in outputs:
        kind = output["output_type"]
        if kind == "stream":
            yield _pre("".join(output["text"]), "stream")
        elif kind == "error":
            yield _pre("\n".join(output.get("traceback", [])) or output.get("evalue", ""), "trace")
        else:
            yield _rich(output.get("data", {}))


def _rich(data: dict[str, Any]) -> str:
    for kind in ("image/png", "image/jpeg"):
        if kind in data:
            return f'<figure><img alt="plot" src="data:{kind};base64,{"".join(data[kind]).strip()}"></figure>'
    if "image/svg+xml" in data:
        # As an image, so that nothing inside of it can act.
        encoded = b64encode("".join(data["image/svg+xml"]).encode()).decode()
        return f'<figure><img alt="plot" src="data:image/svg+xml;base64,{encoded}"></figure>'
    if "text/html" in data:
        return f'<div class="rich">{ACTIVE.sub("", "".join(data["text/html"]))}</div>'
    if "text/markdown" in data:
        return f'<div class="prose">{mistune.html(_escape_tags("".join(data["text/markdown"])))}</div>'
    return _pre("".join(data.get("text/plain", "")), "stream") if "text/plain" in data else ""


def _pre(text: str, kind: str) -> str:
    plain = ANSI.sub("", text)
    cut = plain if len(plain) <= MAX_TEXT else plain[:MAX_TEXT] + f"\n... {len(plain) - MAX_TEXT:,} more characters"
    return f'<pre class="{kind}">{html.escape(cut)}</pre>' if cut.strip() else ""
