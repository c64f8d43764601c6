# SPDX-License-Identifier: Apache-2.0
"""What the documentation builder does not check: Python blocks, links out of docs, and the navigation."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from pathlib import Path
from typing import get_args, get_origin

import pytest

import audio_connector
from audio_connector.call import asks, tells

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

DIAGRAM_CHARS = 84
"""What a page shows of a line on a screen 1,280 wide."""


def python_blocks(text: str) -> list[str]:
    """The Python code blocks of a page."""
    found = re.findall(r"^( *)```python[^\n]*\n(.*?)^\1```", text, flags=re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(body) for _, body in found]


def block_faults(code: str) -> list[str]:
    """A block that does not compile, or imports a name that the facade does not have."""
    try:
        compile(code, "block", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except SyntaxError as error:
        return [f"{error.msg}: {error.text}"]
    return [
        f"{node.module} has no {alias.name}"
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.ImportFrom) and node.module == "audio_connector"
        for alias in node.names
        if alias.name not in audio_connector.__all__
    ]


def diagram_faults(text: str) -> list[str]:
    """Lines of diagrams that are wider than a page shows: they are wrapped like all code, and are none any more."""
    blocks = re.findall(r"^( *)```[^\n]*\n(.*?)^\1```", text, flags=re.MULTILINE | re.DOTALL)
    diagrams = [block for _, block in blocks if set(block) & set("│┊║└┐►◄")]
    return [line for block in diagrams for line in block.splitlines() if len(line) > DIAGRAM_CHARS]


def link_faults(text: str, folder: Path) -> list[str]:
    """Links and images that name a file that is not there."""
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL))
    return [
        target for target in targets if "://" not in target and not (folder / target.split("?")[0]).exists()
    ]


def navigation_faults(config: str, pages: set[str]) -> list[str]:
    """Pages that the navigation misses or has twice, and entries without a page."""
    named = re.findall(r'"([^"\n]+\.md)"', config)
    faults = [f"{page}: no page" for page in sorted(set(named) - pages)]
    faults += [f"{page}: not in the navigation" for page in sorted(pages - set(named))]
    return faults + [f"{page}: twice in the navigation" for page in sorted(pages) if named.count(page) > 1]


def table_defaults(text: str, model: str) -> dict[str, str]:
    """Field and default of the table that follows a model's entry in the configuration reference."""
    found = re.search(
        rf"^::: audio_connector\.{model}\n(.*?)(?=^:::|\Z)", text, flags=re.MULTILINE | re.DOTALL
    )
    rows = re.findall(r"^\| `(\w+)` \| `([^|]*)` \|", found.group(1), flags=re.MULTILINE) if found else []
    return dict(rows)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_code_of_a_page_compiles_and_its_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert [fault for block in python_blocks(text) for fault in block_faults(block)] == []
    assert link_faults(text, page.parent) == []
    assert diagram_faults(text) == []


def test_the_navigation_has_every_page() -> None:
    docs = ROOT / "docs"
    pages = {page.relative_to(docs).as_posix() for page in docs.rglob("*.md")}
    assert navigation_faults((ROOT / "zensical.toml").read_text(encoding="utf-8"), pages) == []


def _is_class(value: object) -> bool:
    """A name for ``list[float]`` is none, and Python 3.10 takes it for one."""
    return inspect.isclass(value) and get_origin(value) is None


@pytest.mark.parametrize(
    "name", ["", ".auth", ".engines", ".simulator", ".testing", ".testing.conformance", ".turns"]
)
def test_the_reference_has_every_public_class_and_function(name: str) -> None:
    module = importlib.import_module(f"audio_connector{name}")
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    public = {
        each
        for each in module.__all__
        if inspect.isroutine(getattr(module, each)) or _is_class(getattr(module, each))
    }
    documented = set(re.findall(rf"^::: audio_connector{re.escape(name)}\.(\w+)$", text, flags=re.MULTILINE))
    assert public - documented == set()


@pytest.mark.parametrize("model", ["Playback", "Intake", "Limits", "Timeouts", "AudioTransport"])
def test_the_defaults_in_the_reference_are_those_of_the_code(model: str) -> None:
    text = (ROOT / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
    fields = getattr(audio_connector, model).model_fields
    assert table_defaults(text, model) == {
        name: repr(field.get_default(call_default_factory=True)) for name, field in fields.items()
    }


# What follows shows, on bad input, that the checks above can fail.


@pytest.mark.parametrize("page", sorted((ROOT / "docs/design").glob("*.md")), ids=lambda page: page.name)
def test_the_files_that_the_design_names_are_there(page: Path) -> None:
    named = set(re.findall(r"`(\w+/[\w/]+\.\w+)`", page.read_text(encoding="utf-8")))
    folders = (ROOT, ROOT / "src/audio_connector")
    assert {name for name in named if not any((folder / name).exists() for folder in folders)} == set()


def test_the_design_names_all_that_crosses_the_port() -> None:
    text = (ROOT / "docs/design/threads.md").read_text(encoding="utf-8")
    crosses = {kind.__name__ for kind in (*get_args(asks.Ask), *get_args(tells.Tell))} - {"bytes"}
    assert {name for name in crosses if f"`{name}`" not in text} == set()


def test_a_bad_block_is_found() -> None:
    text = "a\n\n```python\nawait f(\n```\n\n    ```python title='x'\n    x = 1\n    ```\n"
    assert [block_faults(block) != [] for block in python_blocks(text)] == [True, False]
    assert block_faults("from audio_connector import Nothing, Video") == ["audio_connector has no Nothing"]
    assert block_faults("await f()\nasync for x in y: ...") == []


def test_a_diagram_that_is_too_wide_is_found() -> None:
    wide = "a ──► " + "b" * DIAGRAM_CHARS
    assert diagram_faults(f"```text\n{wide}\nc\n```\n{wide}\n\n```text\n{'d' * 200}\n```\n") == [wide]


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").touch()
    text = "[a](there.md#x) [b](gone.md) ![c](gone.png) `[d](code.md)` [e](https://example.com/x)"
    assert link_faults(text, tmp_path) == ["gone.md", "gone.png"]


def test_a_forgotten_page_is_found() -> None:
    assert navigation_faults('nav = [{ "A" = "a.md" }, "b.md", "a.md"]', {"a.md", "c.md"}) == [
        "b.md: no page",
        "c.md: not in the navigation",
        "a.md: twice in the navigation",
    ]


def test_a_table_of_defaults_is_read_up_to_the_next_model() -> None:
    text = "::: audio_connector.A\n\n| `a_ms` | `1` | x |\n| `b` | `(2,)` | y |\n"
    text += "\n::: audio_connector.B\n| `c` | `3` | |\n"
    assert table_defaults(text, "A") == {"a_ms": "1", "b": "(2,)"}
    assert table_defaults(text, "C") == {}
