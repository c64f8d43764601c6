# SPDX-License-Identifier: Apache-2.0
"""The page's files, as far as they can be checked without a browser: colours, licences, references, no outside."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[3] / "src" / "audio_connector" / "playground" / "static"
FILES = sorted(path for path in STATIC.rglob("*") if path.is_file())
BASE = (STATIC / "css" / "base.css").read_text(encoding="utf-8")
PAGE = (STATIC / "index.html").read_text(encoding="utf-8")
SCRIPTS = "\n".join(path.read_text(encoding="utf-8") for path in FILES if path.suffix == ".js")

# Of text on its ground, WCAG asks for 4.5; of what is drawn, 3.
TEXTS = [
    ("text", "surface"),
    ("text", "page"),
    ("text", "sunken"),
    ("text", "bad-soft"),
    ("muted", "surface"),
    ("muted", "page"),
    ("muted", "sunken"),
    ("bad", "surface"),
    ("turn", "surface"),
    ("barge", "surface"),
    ("on-accent", "accent"),
]
DRAWN = [(name, "surface") for name in ("spoken", "heard", "guest", "depth", "good", "edge")] + [
    ("focus", "page")
]


def tokens(theme: str) -> dict[str, str]:
    """The colours of a theme; dark changes some of light."""
    blocks = re.findall(r":root(\[data-theme=\"dark\"\])? \{(.*?)\}", BASE, re.DOTALL)
    found: dict[str, str] = {}
    for is_dark, body in blocks:
        if not is_dark or theme == "dark":
            found.update(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", body))
    return found


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_can_be_told_apart(theme: str) -> None:
    colours = tokens(theme)
    weak = {
        (one, other): round(contrast(colours[one], colours[other]), 2)
        for pairs, least in ((TEXTS, 4.5), (DRAWN, 3.0))
        for one, other in pairs
        if contrast(colours[one], colours[other]) < least
    }
    assert weak == {}


def test_contrast_is_measured_as_the_standard_does() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_has_its_licence_and_names_nothing_outside(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "SPDX-License-Identifier: Apache-2.0" in "\n".join(text.splitlines()[:2])
    outside = set(re.findall(r"https?://[\w.]+", text)) - {"http://www.w3.org", "http://localhost."}
    assert outside == set()
    assert len(text.splitlines()) <= 500


class _Page(HTMLParser):
    """The page's references, ids, and whatever its policy forbids."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.files: set[str] = set()
        self.named: set[str] = set()
        self.forbidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            text = value or ""
            if name == "id":
                self.ids.append(text)
            elif name in {"aria-labelledby", "aria-describedby"}:
                self.named.update(text.split())
            elif name in {"src", "href"} and text.startswith("#"):
                self.named.add(text[1:])
            elif name in {"src", "href"}:
                self.files.add(text.partition("#")[0])
                self.named.update({f"icon {text.partition('#')[2]}"} if "#" in text else set())
            elif name == "style" or name.startswith("on"):
                self.forbidden.append(f"{tag} {name}")
        if tag == "style" or (tag == "script" and "src" not in dict(attrs)):
            self.forbidden.append(tag)


def test_the_page_refers_to_what_is_there_and_keeps_to_its_policy() -> None:
    page = _Page()
    page.feed(PAGE)
    icons = re.findall(r'symbol id="([\w-]+)"', (STATIC / "icons.svg").read_text(encoding="utf-8"))
    assert page.forbidden == []
    assert len(page.ids) == len(set(page.ids))
    assert page.named - set(page.ids) - {f"icon {name}" for name in icons} == set()
    assert {name for name in page.files if not (STATIC / name).is_file()} == set()
    # What scripts ask for by its id is in the page, and the icons that they show are drawn.
    asked = set(re.findall(r'(?:byId|value|getElementById)\("([\w-]+)"', SCRIPTS))
    assert asked - set(page.ids) == set()
    assert set(re.findall(r"icons\.svg#([\w-]+)", SCRIPTS)) - set(icons) == set()


def test_scripts_write_texts_as_texts() -> None:
    # innerHTML is for a constant of our own: what a bot or a file says must never become markup.
    written = re.findall(r"innerHTML = (.*)", SCRIPTS)
    assert all(re.fullmatch(r"'[^'$]*';", value) for value in written)
    assert "eval(" not in SCRIPTS
    assert "insertAdjacentHTML" not in SCRIPTS
