# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from audio_connector import AudioConnectorServerConfig, Playback
from audio_connector.errors import UsageError
from audio_connector.playground.bots import find_bot


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


async def config_of(argument: str) -> AudioConnectorServerConfig:
    bot = find_bot(argument)
    assert bot.label == argument
    assert bot.url is None
    assert bot.configure is not None
    return await bot.configure()


async def test_without_an_argument_it_is_the_parrot() -> None:
    bot = find_bot(None)
    assert bot.label == "the packaged parrot"
    assert bot.configure is not None
    config = await bot.configure()
    assert (config.host, config.port) == ("127.0.0.1", 0)
    assert config.on_connect is not None


def test_an_address_is_called_as_it_is_and_shown_without_its_query() -> None:
    bot = find_bot("wss://bot.example/room?x=1")
    assert (bot.label, bot.url, bot.configure) == (
        "wss://bot.example/room?…",
        "wss://bot.example/room?x=1",
        None,
    )


APPS = """
from audio_connector import AudioConnectorServerConfig, Playback
from types import MappingProxyType

async def on_connect(client): pass
def plain(client): pass
class Handler:
    def __call__(self, client): pass
handler = Handler()
config = AudioConnectorServerConfig(host="0.0.0.0", port=8765, on_connect=plain, playback=Playback(lead_ms=99))
mapping = MappingProxyType({"host": "::", "port": 1, "on_connect": plain, "playback": Playback(lead_ms=99)})
def make(): return config
async def make_later(): return {"on_connect": on_connect, "playback": Playback(lead_ms=99)}
number = 7
bad = {"on_connect": plain, "prot": 1}
def two(a, b): pass
def make_nothing(): pass
def make_wrongly():
    raise LookupError("no key")
"""


@pytest.mark.parametrize(
    "name", ["on_connect", "plain", "handler", "config", "mapping", "make", "make_later"]
)
async def test_every_kind_of_application_is_served_here_only(folder: Path, name: str) -> None:
    (folder / "apps.py").write_text(APPS)
    config = await config_of(f"apps:{name}")
    assert (config.host, config.port, config.ssl) == ("127.0.0.1", 0, None)
    assert config.on_connect is not None
    has_playback = name in {"config", "mapping", "make", "make_later"}
    assert config.playback == (Playback(lead_ms=99) if has_playback else Playback())


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("apps:number", "apps:number: got int 7 to run; expected an on_connect, "),
        ("apps:bad", "apps:bad: AudioConnectorServerConfig: prot is not a field; did you mean 'port'?"),
        (
            "apps:two",
            "apps:two: AudioConnectorServerConfig: on_connect=two cannot be called with one argument, ",
        ),
        ("apps:nothing", "apps has no 'nothing'; did you mean 'make_nothing'?"),
        ("nowhere:app", "there is no module 'nowhere' in "),
        ("apps.inner:app", "there is no module 'apps.inner' in "),
        ("localhost:8765", "'localhost:8765' is neither a server, such as ws://localhost:8765, nor an "),
        ("apps", "'apps' is neither"),
        ("apps:", "'apps:' is neither"),
        ("../apps:app", "'../apps:app' is neither"),
    ],
)
def test_what_cannot_be_served_is_named(folder: Path, name: str, says: str) -> None:
    (folder / "apps.py").write_text(APPS)
    with pytest.raises(UsageError) as raised:
        find_bot(name)
    assert str(raised.value).startswith(says)


def test_a_file_in_place_of_a_module_is_told_its_name(folder: Path) -> None:
    (folder / "apps.py").write_text(APPS)
    with pytest.raises(UsageError) as raised:
        find_bot("apps.py:config")
    assert str(raised.value).endswith("; did you mean apps:config?")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("x = 1\nraise ValueError('no  key\\nat all')\n", "ValueError: no key at all (broken.py, line 2)"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3 (broken.py, line 2)"),
        ("x = 1\ndef f(:\n", "SyntaxError: invalid syntax (broken.py, line 2)"),
        ("import gone_missing\n", "ModuleNotFoundError: No module named 'gone_missing' (broken.py, line 1)"),
        ("import json\njson.loads('{')\n", "(broken.py, line 2)"),
    ],
)
def test_what_fails_at_import_says_where(folder: Path, source: str, says: str) -> None:
    (folder / "broken.py").write_text(source)
    with pytest.raises(UsageError) as raised:
        find_bot("broken:app")
    assert str(raised.value).startswith("broken cannot be imported: ")
    assert str(raised.value).endswith(says)
    assert "\n" not in str(raised.value)


async def test_what_a_function_fails_at_says_where(folder: Path) -> None:
    (folder / "apps.py").write_text(APPS)
    line = APPS.splitlines().index('    raise LookupError("no key")') + 1
    with pytest.raises(
        UsageError, match=rf"^apps:make_wrongly failed: LookupError: no key \(apps\.py, line {line}\)$"
    ):
        await config_of("apps:make_wrongly")
    with pytest.raises(
        UsageError,
        match=r"^what apps:make_nothing returned: got NoneType None to run; expected an on_connect",
    ):
        await config_of("apps:make_nothing")
