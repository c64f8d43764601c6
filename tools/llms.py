# SPDX-License-Identifier: Apache-2.0
"""Makes the documentation readable for language models: ``llms.txt``, ``llms-full.txt`` and each page as Markdown.

    python tools/llms.py site

``llms.txt`` (https://llmstxt.org) is the navigation as a list of links, each with what its page has. The pages that
it links to are those of ``docs`` with what the builder fills in: the files that they include, and the signatures and
docstrings of what they document. ``llms-full.txt`` is all of them in one.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT: Final = Path(__file__).parents[1]

_DOCUMENTED: Final = re.compile(r"^::: ([\w.]+)\n((?:    .*\n?|\n(?=    ))*)", re.MULTILINE)
_INCLUDED: Final = re.compile(r'^( *)--8<-- "([^"]+)"$', re.MULTILINE)
_HEADING: Final = re.compile(r"^## (.+)$", re.MULTILINE)
_FENCED: Final = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)
_START: Final = "Start"
"""The heading of those pages that are in no section of the navigation."""


@dataclass(frozen=True)
class Page:
    """A page of the navigation.

    Args:
        section: Where it is in the navigation.
        title: What it is called there; nothing where only its file is named.
        way: Of its file, from the folder of the documentation.
    """

    section: str
    title: str
    way: str


def pages(nav: list[Any], section: str = _START) -> Iterator[Page]:
    """Iterate over the pages of a navigation, in their order."""
    for entry in nav:
        if isinstance(entry, str):
            yield Page(section, "", entry)
            continue
        for title, target in entry.items():
            if isinstance(target, str):
                yield Page(section, title, target)
            else:
                yield from pages(target, title)


def complete(text: str, root: Path = ROOT) -> str:
    """Return a page with what the builder would fill in."""
    text = _INCLUDED.sub(lambda found: _included(root / found[2], found[1]), text)
    return _DOCUMENTED.sub(
        lambda found: documented(found[1], members="members: false" not in found[2]) + "\n", text
    )


def _included(path: Path, indent: str) -> str:
    return "\n".join(f"{indent}{line}".rstrip() for line in path.read_text(encoding="utf-8").splitlines())


def documented(name: str, *, members: bool = True) -> str:
    """Return the signature and the docstring of an object, and of its public members.

    Args:
        name: Where it is, as Python writes it.
        members: Whether those of a class are shown.

    Raises:
        ImportError: There is no such object.
    """
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except AttributeError:
        found = importlib.import_module(name)
    parts = [f"## `{attribute}`", *_told(attribute, found)]
    if members and inspect.isclass(found):
        for inner, value in _members(found):
            parts += [f"### `{attribute}.{inner}`", *_told(inner, value)]
    return "\n\n".join(parts)


def _members(owner: type) -> Iterator[tuple[str, object]]:
    for name, value in vars(owner).items():
        function = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
        if not name.startswith("_") and (inspect.isfunction(function) or isinstance(function, property)):
            yield name, function


def _told(name: str, found: object) -> Iterator[str]:
    if isinstance(found, property):
        yield "A property."
    elif callable(found):
        prefix = (
            "async def "
            if inspect.iscoroutinefunction(found)
            else "class "
            if inspect.isclass(found)
            else "def "
        )
        yield f"```python\n{prefix}{name}{_signature(found)}\n```"
    if text := inspect.getdoc(found):
        yield text


def _signature(found: Callable[..., object]) -> str:
    try:
        # An annotation that is not evaluated is shown as a text.
        return re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(found)))
    except (TypeError, ValueError):  # some of C, and exceptions, have none
        return "(...)"


def contents(page: str) -> str:
    """Return what a page has: its headings, and what it documents."""
    names = [name.rpartition(".")[2] for name in re.findall(r"^::: ([\w.]+)$", page, flags=re.MULTILINE)]
    return ", ".join([*_HEADING.findall(_FENCED.sub("", page)), *(f"`{name}`" for name in names)])


def make(docs: Path, config: Path, site: Path) -> None:
    """Write the pages, ``llms.txt`` and ``llms-full.txt``.

    Args:
        docs: The folder of the documentation.
        config: What the documentation is built by, with the navigation.
        site: The folder to write into.
    """
    project = tomllib.loads(config.read_text(encoding="utf-8"))["project"]
    listed = [
        f"# {project['site_name']}",
        f"> {project['site_description']}",
        "Everything in one file: [llms-full.txt](llms-full.txt).",
    ]
    whole: list[str] = []
    section = ""
    for page in pages(project["nav"]):
        text = (docs / page.way).read_text(encoding="utf-8")
        if page.section != section:
            section = page.section
            listed.append(f"## {section}\n")
        told = contents(text)
        title = page.title or section
        listed[-1] += f"\n- [{title}]({page.way}){': ' if told else ''}{told}"
        completed = complete(text)
        target = site / page.way
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(completed, encoding="utf-8")
        whole.append(f"<!-- {page.way} -->\n\n{completed.strip()}")
    (site / "llms.txt").write_text("\n\n".join(listed) + "\n", encoding="utf-8")
    (site / "llms-full.txt").write_text("\n\n".join(whole) + "\n", encoding="utf-8")


if __name__ == "__main__":
    make(ROOT / "docs", ROOT / "zensical.toml", Path(sys.argv[1]))
