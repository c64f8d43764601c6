# SPDX-License-Identifier: Apache-2.0
"""Makes links of the rows of the wire protocol that the built documentation cites: ``PROTOCOL 2.7, 2.8``.

The sources cite rows in docstrings and pages as plain text, which is what a reader of the code wants to see. In the
rendered pages each row of the protocol's tables becomes a target, and each citation a link to it. A citation of a row
that is not there fails, as a broken link does.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from os.path import relpath
from pathlib import Path
from typing import Final

PAGE: Final = "protocol.html"

_TAG: Final = re.compile(r"(<!--.*?-->|<[^>]+>)", re.DOTALL)
_CITATION: Final = re.compile(r"PROTOCOL\s+\d+b?(?:\.\d+)?(?:(?:,| and| to)\s+\d+\.\d+)*")
_PLACE: Final = re.compile(r"\d+b?(?:\.\d+)?")
_ROW: Final = re.compile(r"<tr>(\s*<td[^>]*>)(\d+\.\d+)(</td>)")
_SECTION: Final = re.compile(r'<h[23] id="((\d+b?)-[^"]*)"')
# Within these a link would be one in a link, or no text of the page.
_CLOSED: Final = frozenset({"a", "code", "pre", "script", "style", "title", "svg"})


def add_targets(html: str) -> tuple[str, dict[str, str]]:
    """Give each row of the protocol's tables an id.

    Args:
        html: The protocol's page.

    Returns:
        The page, and the id of each row and each section: ``{"2.7": "row-2.7", "2": "2-text-messages-…"}``.
    """
    targets = {found[2]: found[1] for found in _SECTION.finditer(html)}
    targets |= {found[2]: f"row-{found[2]}" for found in _ROW.finditer(html)}
    return _ROW.sub(r'<tr id="row-\2">\1\2\3', html), targets


def link(html: str, targets: dict[str, str], page: str, missing: Callable[[str], None]) -> str:
    """Make links of the citations in a page.

    Args:
        html: The page.
        targets: What `add_targets` found.
        page: The way from this page to the protocol's; "" on itself.
        missing: Told of each row that is cited and not there.
    """

    def to_link(found: re.Match[str]) -> str:
        place = found[0]
        if place not in targets:
            missing(place)
            return place
        return f'<a href="{page}#{targets[place]}">{place}</a>'

    depth, parts = 0, []
    for part in _TAG.split(html):
        name = re.match(r"</?(\w+)", part)
        if name is not None and name[1] in _CLOSED:
            depth += -1 if part.startswith("</") else not part.endswith("/>")
        elif not depth and not part.startswith("<"):
            part = _CITATION.sub(lambda found: _PLACE.sub(to_link, found[0]), part)  # noqa: PLW2901
        parts.append(part)
    return "".join(parts)


def link_site(site: Path) -> list[str]:
    """Link all pages of a built site.

    Returns:
        What was cited and is not there.
    """
    protocol = site / PAGE
    text, targets = add_targets(protocol.read_text(encoding="utf-8"))
    protocol.write_text(text, encoding="utf-8")
    faults: list[str] = []
    for path in sorted(site.rglob("*.html")):
        way = "" if path == protocol else relpath(protocol, path.parent)
        name = str(path.relative_to(site))
        html = path.read_text(encoding="utf-8")
        linked = link(html, targets, way, lambda place, name=name: faults.append(f"{name}: no row {place}"))  # type: ignore[misc]
        if linked != html:
            path.write_text(linked, encoding="utf-8")
    return faults


if __name__ == "__main__":
    found = link_site(Path(sys.argv[1]))
    print("\n".join(found), file=sys.stderr, end="\n" if found else "")
    sys.exit(bool(found))
