# SPDX-License-Identifier: Apache-2.0
"""What language models are given of the documentation: all of it, with nothing left to be filled in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from llms import Page, complete, contents, documented, make, pages

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("site")
    make(ROOT / "docs", ROOT / "zensical.toml", site)
    return site


def test_every_link_leads_to_a_page_and_every_page_has_one(site: Path) -> None:
    listed = (site / "llms.txt").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", listed)
    assert [link for link in links if not (site / link).is_file()] == []
    named = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert sorted(links) == sorted([*named, "llms-full.txt"])


def test_it_is_of_the_form_that_is_agreed_on(site: Path) -> None:
    lines = (site / "llms.txt").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# audio-connector"
    assert lines[2].startswith("> ")
    assert [line for line in lines[5:] if not re.match(r"(## .+|- \[.+\]\(.+\)(: .+)?)?$", line)] == []


def test_nothing_is_left_to_be_filled_in(site: Path) -> None:
    whole = (site / "llms-full.txt").read_text(encoding="utf-8")
    assert re.findall(r"^:::.*|^\s*--8<--.*", whole, flags=re.MULTILINE) == []
    assert (
        re.findall(r"^.*::$", whole, flags=re.MULTILINE) == []
    )  # of reStructuredText, which pages show as it is
    assert "async def flush_buffer(self" in whole
    assert "server_name bot.example.com" in whole  # of a file that a page includes


# What follows shows, on small input, what is done.


def test_the_navigation_is_read_in_its_order() -> None:
    nav = [{"Home": "index.md"}, {"Guide": ["guide.md", {"One": "one.md"}]}]
    assert list(pages(nav)) == [
        *(Page("Start", "Home", "index.md"), Page("Guide", "", "guide.md"), Page("Guide", "One", "one.md"))
    ]


def test_a_page_is_completed(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("x\n\ny\n")
    page = 'A\n\n  --8<-- "a.conf"\n\n::: audio_connector.Played\n    options:\n      members: false\n\nB\n'
    completed = complete(page, tmp_path)
    assert "A\n\n  x\n\n  y\n\n## `Played`\n\n```python\nclass Played(" in completed
    assert completed.endswith("\nB\n")
    assert "options" not in completed


def test_an_object_is_told_with_its_members() -> None:
    told = documented("audio_connector.Speech")
    assert "### `Speech.write`\n\n```python\nasync def write(self, " in told
    assert "_" not in re.findall(r"^### `Speech\.(.)", told, flags=re.MULTILINE)
    assert "###" not in documented("audio_connector.Speech", members=False)


def test_an_object_that_is_not_there_fails() -> None:
    with pytest.raises(ImportError):
        documented("audio_connector.Nothing")


def test_contents_are_headings_and_names_but_nothing_of_code() -> None:
    page = "# A\n\n## One\n\n```toml\n## no\n```\n\n::: audio_connector.Played\n"
    assert contents(page) == "One, `Played`"
