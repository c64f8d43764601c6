# SPDX-License-Identifier: Apache-2.0
"""Citations of the wire protocol lead to its rows in the built documentation."""

from __future__ import annotations

import re
from pathlib import Path

from protocol_links import add_targets, link, link_site

ROOT = Path(__file__).parents[2]
PROTOCOL = (
    '<h2 id="2-texts">2. Texts</h2><h3 id="4b-audio-in-json">4b</h3><table>'
    "<tr><th>Row</th></tr><tr>\n<td>2.7</td><td>Muted, PROTOCOL 2.10</td></tr><tr><td>2.10</td></tr></table>"
)


def linked(html: str, page: str = "../protocol.html") -> tuple[str, list[str]]:
    missing: list[str] = []
    return link(html, add_targets(PROTOCOL)[1], page, missing.append), missing


def test_rows_and_sections_are_targets() -> None:
    html, targets = add_targets(PROTOCOL)
    assert targets == {"2": "2-texts", "4b": "4b-audio-in-json", "2.7": "row-2.7", "2.10": "row-2.10"}
    assert '<tr id="row-2.7">\n<td>2.7</td>' in html


def test_citations_become_links() -> None:
    html, missing = linked("<p>as muted (PROTOCOL 2.7, 2.10; PROTOCOL\n4b), 5.1</p>")
    assert re.findall(r'href="([^"]*)">([^<]*)', html) == [
        ("../protocol.html#row-2.7", "2.7"),
        ("../protocol.html#row-2.10", "2.10"),
        ("../protocol.html#4b-audio-in-json", "4b"),
    ]
    assert not missing


def test_what_is_code_or_a_link_already_stays_as_it_is() -> None:
    html = '<a href="#x">PROTOCOL 2.7</a><pre><code>PROTOCOL 2.7</code></pre><!-- PROTOCOL 2.7 -->'
    assert linked(html) == (html, [])


def test_a_row_that_is_not_there_is_told() -> None:
    assert linked("<p>PROTOCOL 2.8 to 2.10</p>")[1] == ["2.8"]


def test_a_site_is_linked_page_by_page(tmp_path: Path) -> None:
    (tmp_path / "reference").mkdir()
    (tmp_path / "protocol.html").write_text(PROTOCOL)
    (tmp_path / "reference" / "a.html").write_text("<p>PROTOCOL 2.7, 9.9</p>")
    assert link_site(tmp_path) == ["reference/a.html: no row 9.9"]
    assert 'href="#row-2.10"' in (tmp_path / "protocol.html").read_text()
    assert 'href="../protocol.html#row-2.7"' in (tmp_path / "reference" / "a.html").read_text()


def test_every_row_that_the_sources_cite_is_in_the_protocol() -> None:
    rows = set(
        re.findall(
            r"^\| (\d+\.\d+) \|", (ROOT / "docs/protocol.md").read_text(encoding="utf-8"), re.MULTILINE
        )
    )
    cited = {
        row
        for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "docs").rglob("*.md")]
        for citation in re.findall(
            r"PROTOCOL (\d+\.\d+(?:(?:, | and | to )\d+\.\d+)*)", path.read_text(encoding="utf-8")
        )
        for row in re.findall(r"\d+\.\d+", citation)
    }
    assert len(cited) > 40
    assert cited <= rows
