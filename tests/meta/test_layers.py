# SPDX-License-Identifier: Apache-2.0
"""The laws about imports: who may import whom, never in a circle, and what pure code may not touch (docs/design).

The sources are read with ``ast``, never imported, so that imports inside functions and behind
``TYPE_CHECKING`` count like all others.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"
PACKAGE = "audio_connector"
VENDOR_PACKAGE = "audio_connector_sdk"
FACADE = "facade"

# For each part of the package the parts that it may import; itself is always allowed. A part may be in the table
# before its folder is there.
FLOW = ("errors", "validation", "audio", "wire")
CALL = (*FLOW, "playback", "intake", "call")
SERVER = (*CALL, "port", "recording", "server")
PUBLIC = (*SERVER, FACADE, "_version")
ALLOWED: Mapping[str, frozenset[str]] = {
    "_version": frozenset(),
    "errors": frozenset(),
    # What a model needs that users fill in; every part that has one may import it.
    "validation": frozenset({"errors"}),
    "audio": frozenset({"errors", "validation"}),
    "wire": frozenset({"errors", "validation", "audio"}),
    "playback": frozenset(FLOW),
    "intake": frozenset(FLOW),
    "call": frozenset(CALL),
    "port": frozenset(CALL),
    # What was taped of a call, as a file; the server's handles write it, and the command line reads it.
    "recording": frozenset(CALL),
    "server": frozenset({*SERVER, "_version"}),
    FACADE: frozenset({*SERVER, "_version"}),
    "auth": frozenset(PUBLIC),
    "turns": frozenset(PUBLIC),
    "engines": frozenset(PUBLIC),
    # The router of the other side: a mistake shared with playback or intake would cancel itself out.
    "simulator": frozenset({*FLOW, "_version"}),
    # Its server-and-router pair is made of both ends.
    "testing": frozenset({*PUBLIC, "simulator", "engines"}),
    # Its Python side is the simulator, so that browser and command line behave alike.
    "playground": frozenset({*PUBLIC, "simulator", "live"}),
    # Pages and command lines of applications, and how those follow calls that listen to turns; it knows none of
    # them. Their demo is a simulated call.
    "live": frozenset({*PUBLIC, "engines", "turns", "simulator", "testing"}),
    "integrations": frozenset(PUBLIC),
    "cluster": frozenset(PUBLIC),
    "cli": frozenset(
        {
            *PUBLIC,
            *(
                "auth",
                "turns",
                "engines",
                "live",
                "testing",
                "simulator",
                "playground",
                "integrations",
                "cluster",
            ),
        }
    ),
}
# Each file for a partner of its own, behind an extra of its own: none of these parts' files knows another one. What
# they share is in a package ``base`` of their part, which knows none of them; one file finds them by their names.
APART = frozenset({"engines", "integrations"})
PURE = (
    "audio",
    "wire.messages",
    "wire.codec",
    "wire.json_audio",
    "wire.fragments",
    "playback",
    "intake.buffer",
    "wire.episodes",
    "intake.gaps",
    "intake.items",
    "wire.quoting",
    "call",
    "recording.timeline",
    "server.session_tracks",
    "turns.barge_in",
    "turns.detector",
    "turns.events",
    "turns.settings",
)
CHOOSER = f"{PACKAGE}.engines.choosing"
MAY_LOG = frozenset({f"{PACKAGE}.playback.pacer"})
KNOWN_CIRCLES: frozenset[frozenset[str]] = frozenset()
IMPURE_MODULES = frozenset({"asyncio", "socket", "ssl", "threading", "time", "random", "logging"})
DYNAMIC = "<computed name>"


@dataclass(frozen=True)
class Arrow:
    """One import: the module it stands in, its line, and the module it reaches."""

    module: str
    line: int
    target: str

    def __str__(self) -> str:
        return f"{self.module}, line {self.line}: imports {self.target}"


def part_of(module: str) -> str | None:
    """The part of the package that a module belongs to; None for a module outside of it."""
    root, _, rest = module.partition(".")
    if root != PACKAGE:
        return None
    part = rest.partition(".")[0]
    return {"": FACADE, "__main__": "cli"}.get(part, part)


def arrows_of(source: str, module: str, *, is_package: bool, known: Iterable[str]) -> list[Arrow]:
    """Every import of one source; a name taken from a package counts as a module where it is one."""
    modules = frozenset(known)
    arrows = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _base_of(node, module, is_package=is_package)
            targets = [_module_or(base, alias.name, modules) for alias in node.names]
        elif isinstance(node, ast.Call) and _called_name(node) in {"import_module", "__import__"}:
            first = node.args[0] if node.args else None
            name = first.value if isinstance(first, ast.Constant) else DYNAMIC
            targets = [str(name)]
        else:
            continue
        arrows += [Arrow(module, node.lineno, target) for target in targets]
    return arrows


def _base_of(node: ast.ImportFrom, module: str, *, is_package: bool) -> str:
    if node.level == 0:
        return node.module or ""
    parents = module.split(".")
    kept = len(parents) - node.level + (1 if is_package else 0)
    return ".".join([*parents[:kept], *([node.module] if node.module else [])])


def _module_or(base: str, name: str, modules: frozenset[str]) -> str:
    return f"{base}.{name}" if f"{base}.{name}" in modules else base


def _called_name(node: ast.Call) -> str | None:
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else None


def layer_faults(arrows: Iterable[Arrow]) -> list[str]:
    """Arrows that the table does not have."""
    faults = []
    for arrow in arrows:
        part, target = part_of(arrow.module), part_of(arrow.target)
        if arrow.target == DYNAMIC:
            faults.append(f"{arrow}: write the name out, so that it can be checked")
        elif part is None or target is None:
            continue
        elif target == part:
            if (
                part in APART
                and f"{PACKAGE}.{part}" not in (arrow.module, arrow.target)
                and arrow.module != CHOOSER
                and not in_base(arrow)
            ):
                faults.append(f"{arrow}: two files of {part} may not know each other")
        elif part not in ALLOWED:
            faults.append(f"{arrow.module}: {part} has no place in the table of layers")
        elif target not in ALLOWED[part]:
            faults.append(f"{arrow}: {part} may not import {target}")
    return faults


def in_base(arrow: Arrow) -> bool:
    """Whether an import reaches what the files of its part share."""
    return f"{arrow.target}.".startswith(f"{PACKAGE}.{part_of(arrow.target)}.base.")


def purity_faults(arrows: Iterable[Arrow]) -> list[str]:
    """Clocks, sockets and tasks in pure modules, or in whatever pure modules import from the package."""
    outgoing: dict[str, list[Arrow]] = {}
    for arrow in arrows:
        outgoing.setdefault(arrow.module, []).append(arrow)
    waiting = [module for module in outgoing if is_pure(module)]
    seen = set(waiting)
    faults = []
    while waiting:
        for arrow in outgoing.get(waiting.pop(), []):
            root = arrow.target.partition(".")[0]
            if root in IMPURE_MODULES and not (root == "logging" and arrow.module in MAY_LOG):
                faults.append(f"{arrow}: pure code, or imported by pure code")
            elif part_of(arrow.target) and arrow.target not in seen:
                seen.add(arrow.target)
                waiting.append(arrow.target)
    return faults


def is_pure(module: str) -> bool:
    """Whether the law of purity names this module or a package that it is in."""
    return any(f"{module}.".startswith(f"{PACKAGE}.{name}.") for name in PURE)


def circles(arrows: Iterable[Arrow]) -> set[frozenset[str]]:
    """Every set of modules that reach each other by imports (the strongly connected components).

    A name taken from a package, and not one of its modules, is an arrow to its ``__init__``. That Python runs the
    ``__init__`` of every package above a module first is none: the package would be a circle with all that is in it.
    """
    targets: dict[str, set[str]] = {}
    for arrow in arrows:
        targets.setdefault(arrow.module, set()).add(arrow.target)
    reached = {module: _reached_from(module, targets) for module in targets}
    return {
        frozenset({module} | {each for each in reached[module] if module in reached.get(each, ())})
        for module in targets
        if any(each != module and module in reached.get(each, ()) for each in reached[module])
    }


def _reached_from(module: str, targets: Mapping[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = [module]
    while waiting:
        new = targets.get(waiting.pop(), set()) - reached
        reached |= new
        waiting += new
    return reached


def circle_faults(arrows: Iterable[Arrow], known: frozenset[frozenset[str]] = frozenset()) -> list[str]:
    """Circles that are not known, and known ones that are gone."""
    found = circles(arrows)
    faults = [f"a circle of imports: {', '.join(sorted(each))}" for each in found - known]
    faults += [f"no circle any more, strike it off: {', '.join(sorted(each))}" for each in known - found]
    return sorted(faults)


def owner_faults(arrows: Iterable[Arrow]) -> list[str]:
    """``picows`` outside its one file, and the vendor's paths anywhere."""
    faults = []
    for arrow in arrows:
        root = arrow.target.partition(".")[0]
        if root == "picows" and arrow.module != f"{PACKAGE}.wire.picows":
            faults.append(f"{arrow}: only {PACKAGE}.wire.picows may")
        if root == VENDOR_PACKAGE and not f"{arrow.module}.".startswith(f"{VENDOR_PACKAGE}."):
            faults.append(f"{arrow}: the vendor's paths are for the vendor's programs")
    return faults


def read_tree(src: Path) -> list[Arrow]:
    """The arrows of every source below ``src``."""
    paths = {_module_name(path, src): path for path in sorted(src.rglob("*.py"))}
    return [
        arrow
        for module, path in paths.items()
        for arrow in arrows_of(
            path.read_text(encoding="utf-8"), module, is_package=path.name == "__init__.py", known=paths
        )
    ]


def _module_name(path: Path, src: Path) -> str:
    parts = path.relative_to(src).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.fixture(scope="module")
def tree() -> list[Arrow]:
    return read_tree(SRC)


def test_every_import_follows_the_layers(tree: list[Arrow]) -> None:
    assert layer_faults(tree) == []


def test_no_imports_go_round_in_a_circle(tree: list[Arrow]) -> None:
    assert circle_faults(tree, KNOWN_CIRCLES) == []


def test_pure_code_reaches_no_clock_socket_or_task(tree: list[Arrow]) -> None:
    assert purity_faults(tree) == []


def test_picows_and_the_vendor_paths_keep_to_their_places(tree: list[Arrow]) -> None:
    assert owner_faults(tree) == []


def test_the_tree_that_is_read_is_the_real_one(tree: list[Arrow]) -> None:
    modules = {arrow.module for arrow in tree}
    assert {PACKAGE, f"{PACKAGE}.wire.picows", f"{PACKAGE}.server.config"} <= modules
    assert Arrow(f"{VENDOR_PACKAGE}.vonage_video", 6, PACKAGE) in tree
    assert any(is_pure(module) for module in modules)


# What follows shows, on bad input, that the checks above can fail.

KNOWN = (
    PACKAGE,
    "audio_connector.errors",
    "audio_connector.validation",
    "audio_connector.audio",
    "audio_connector.audio.pcm",
    "audio_connector.wire.codec",
    "audio_connector.wire.picows",
    "audio_connector.playback.schedule",
    "audio_connector.playback.pacer",
    "audio_connector.call",
    "audio_connector.call.machine",
    "audio_connector.port.mailbox",
    "audio_connector.engines",
    "audio_connector.engines.base",
    "audio_connector.engines.base.ports",
    "audio_connector.engines.one",
    "audio_connector.engines.other",
    "audio_connector.intake.buffer",
    "audio_connector.server.config",
    "audio_connector.simulator.router",
)


def arrows(module: str, source: str, *, is_package: bool = False) -> list[Arrow]:
    return arrows_of(source, f"{PACKAGE}.{module}", is_package=is_package, known=KNOWN)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("errors", "from audio_connector.audio import pcm"),
        ("errors", "from audio_connector.validation import Values"),
        ("validation", "from audio_connector.audio.format import AudioFormat"),
        ("audio.pcm", "import audio_connector.wire.codec"),
        ("audio.pcm", "from ..wire.codec import decode_event"),
        ("audio.pcm", "from .. import wire"),
        ("audio.pcm", "from audio_connector import Video"),
        ("wire.codec", "def late():\n    from audio_connector.server.config import Playback"),
        ("wire.codec", "if TYPE_CHECKING:\n    from audio_connector.playback.schedule import Schedule"),
        ("playback.pacer", "from audio_connector.intake.buffer import Buffer"),
        ("intake.buffer", "from ..playback import schedule"),
        ("playback.pacer", "from audio_connector.call import machine"),
        ("call.machine", "from audio_connector.port import mailbox"),
        ("call.machine", "from audio_connector.server.config import Timeouts"),
        ("port.mailbox", "import audio_connector.server.config"),
        ("auth.tokens", "from audio_connector.turns import gate"),
        ("turns.gate", "from audio_connector.engines.one import Engine"),
        ("engines.one", "from audio_connector.engines.other import Engine"),
        ("engines.one", "from . import other"),
        ("engines.base.ports", "from audio_connector.engines.one import Engine"),
        ("cluster.worker", "from audio_connector.simulator import router"),
        ("server.config", "import importlib\nimportlib.import_module('audio_connector.cli')"),
        ("server.config", "__import__('audio_connector.' + name)"),
        ("simulator.router", "from audio_connector.playback.schedule import Schedule"),
        ("simulator.router", "from audio_connector.server.config import Playback"),
        ("simulator.router", "import audio_connector"),
        ("simulator.router", "from audio_connector.testing import pair"),
        ("newcomer.thing", "from audio_connector.errors import VideoError"),
    ],
)
def test_a_forbidden_arrow_is_found(module: str, source: str) -> None:
    assert len(layer_faults(arrows(module, source))) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("audio.pcm", "from .format import FRAME_MS\nfrom ..errors import AudioDataError\nimport numpy"),
        ("playback.pacer", "from audio_connector import errors\nimport asyncio"),
        ("server.config", "from audio_connector.intake.buffer import Buffer"),
        ("wire.codec", "from audio_connector.validation import FrozenValues"),
        (
            "call.machine",
            "from audio_connector.playback import pacer\nfrom audio_connector.intake import buffer",
        ),
        ("port.mailbox", "from audio_connector.call.machine import Machine"),
        (
            "server.config",
            "from audio_connector.port import mailbox\nfrom audio_connector.call import machine",
        ),
        ("engines.one", "from audio_connector.engines.base.ports import Recogniser"),
        ("engines.one", "import audio_connector\nfrom audio_connector.call import machine"),
        ("cli.demo", "from audio_connector.cluster import fleet\nfrom audio_connector.engines import one"),
        ("playground.app", "from audio_connector.simulator.router import Router\nimport audio_connector"),
        ("testing.pair", "from audio_connector.simulator.router import Router\nimport audio_connector"),
        ("cli.demo", "import audio_connector\nfrom audio_connector.simulator.router import Router"),
        ("simulator.router", "import random, time\nfrom audio_connector.wire.codec import decode_event"),
    ],
)
def test_an_allowed_arrow_passes(module: str, source: str) -> None:
    assert layer_faults(arrows(module, source)) == []


def test_a_relative_import_is_resolved_from_modules_and_packages() -> None:
    assert arrows("audio.pcm", "from . import pcm")[0].target == "audio_connector.audio.pcm"
    assert arrows("audio", "from . import pcm", is_package=True)[0].target == "audio_connector.audio.pcm"
    assert arrows("audio.pcm", "from .. import errors")[0].target == "audio_connector.errors"
    assert arrows("audio.pcm", "from ..errors import VideoError")[0].target == "audio_connector.errors"


@pytest.mark.parametrize("name", sorted(IMPURE_MODULES))
def test_an_impure_import_is_found_in_pure_code(name: str) -> None:
    assert len(purity_faults(arrows("wire.codec", f"import {name}"))) == 1
    assert len(purity_faults(arrows("audio.resample", f"def f():\n    from {name} import x"))) == 1
    assert purity_faults(arrows("intake.dispatch", f"import {name}")) == []


def test_the_pacer_may_log_and_nothing_else() -> None:
    assert purity_faults(arrows("playback.pacer", "import logging")) == []
    assert len(purity_faults(arrows("playback.pacer", "import time, logging"))) == 1


def test_an_impure_import_is_found_behind_another_module() -> None:
    through = arrows("intake.buffer", "from audio_connector.server import config")
    through += arrows("intake.buffer", "import audio_connector.server.config")
    assert purity_faults(through + arrows("server.config", "import time")) != []


def test_a_circle_is_found_however_it_is_closed() -> None:
    across = arrows("wire.codec", "from audio_connector.wire import picows")
    back = arrows("wire.picows", "if TYPE_CHECKING:\n    from .codec import Codec")
    named = frozenset({f"{PACKAGE}.wire.codec", f"{PACKAGE}.wire.picows"})
    assert circles(across) == circles(back) == set()
    assert circles(across + back) == {named}
    assert circle_faults(across + back) == [f"a circle of imports: {', '.join(sorted(named))}"]
    assert circle_faults(across + back, frozenset({named})) == []
    assert circle_faults(across, frozenset({named})) != []


def test_a_circle_through_a_package_or_several_modules_is_found() -> None:
    package = arrows("call", "from .machine import Machine", is_package=True)
    user = arrows("call.machine", "def late():\n    from audio_connector.call import Thing")
    assert circles(package + user) == {frozenset({f"{PACKAGE}.call", f"{PACKAGE}.call.machine"})}
    long = arrows("wire.codec", "from audio_connector.playback import schedule")
    long += arrows("playback.schedule", "import audio_connector.intake.buffer\nimport audio_connector.errors")
    long += arrows("intake.buffer", "from audio_connector.wire.codec import x")
    long += arrows("audio.pcm", "from audio_connector.wire import codec")
    assert [len(each) for each in circles(long)] == [3]


def test_picows_elsewhere_is_found() -> None:
    assert len(owner_faults(arrows("server.config", "from picows import ws_connect"))) == 1
    assert len(owner_faults(arrows("wire.codec", "import picows.types"))) == 1
    assert owner_faults(arrows("wire.picows", "import picows")) == []


def test_a_use_of_the_vendor_paths_is_found() -> None:
    assert len(owner_faults(arrows("cli.demo", "from audio_connector_sdk.vonage_video import Video"))) == 1
