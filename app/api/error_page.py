"""Show an error to a person in a browser: a small page with the problem details.

This module must not know any error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

POLICY = "default-src 'none'; style-src 'self'; frame-ancestors 'none'"
"""Content-Security-Policy of the page: the console's style sheet alone."""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{status} {title} - Tabserve</title>
<link rel="stylesheet" href="{root}console/console.css">
</head>
<body>
<main>
<h1>{status} {title}</h1>
<p>{detail}</p>
{problems}<p>Request <code>{request_id}</code></p>
<p><a href="{root}">Home</a></p>
</main>
</body>
</html>
"""


def render_page(details: Mapping[str, Any], path: str) -> bytes:
    """Return the page.

    Args:
        details: the problem details.
        path: path of the request below any prefix; links are relative to it, so they hold behind a proxy.
    """
    root = "../" * (path.count("/") - 1) or "./"
    shown = {name: escape(str(details[name])) for name in ("status", "title", "detail", "request_id")}
    return _PAGE.format(**shown, root=root, problems="".join(_list(details["errors"]))).encode()


def _list(problems: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    items = []
    for problem in problems:
        row = "" if problem["row"] is None else f"row {problem['row']}"
        place = ", ".join(filter(None, (row, problem["feature"])))
        items.append(f"<li>{escape(f'{place}: ' if place else '')}{escape(problem['problem'])}</li>\n")
    return ["<ul>\n", *items, "</ul>\n"] if items else []
