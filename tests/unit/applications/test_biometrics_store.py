# SPDX-License-Identifier: Apache-2.0
"""What becomes of enrolments and decisions where the disk is full or read-only, or two calls are at once."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from biometrics import vault as vaults
from biometrics.__main__ import make
from biometrics.app import Biometrics, Settings
from biometrics.vault import KEY_VARIABLE, Enrolment, Keys, Vault
from support.disk import full_disk

from audio_connector.engines import Vector
from audio_connector.errors import UsageError
from audio_connector.live import LivePage
from audio_connector.live.command import Environment
from audio_connector.testing import Audio, Server, in_virtual_time, serve
from audio_connector.testing.scripted import SpectrumEncoder

FOLDER = Path(vaults.__file__).parent
UNLESS, HE_WAS = Audio.of("sample:unless-to-be"), Audio.of("sample:he-was-not")


def somebody(name: str, value: float = 1.0) -> Enrolment:
    voice = np.full((2, 4), value, np.float32)
    return Enrolment(name, voice, "spectrum", 16_000, -20.0, "asked by the test", "2026-01-01T00:00:00+00:00")


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    return Vault(tmp_path / "people.vault", Keys(tmp_path / "key"))


@pytest.mark.parametrize("name", ["vault", "key_file"])
@pytest.mark.parametrize(
    ("output", "path"), [("out", "out/x/people"), (".", "people"), ("out", "a/../out/people")]
)
def test_enrolments_and_their_key_are_not_where_the_page_gives_whatever_there_is(
    name: str, output: str, path: str
) -> None:
    with pytest.raises(UsageError, match=f"{name} = '{path}' lies below output = '{output}'"):
        Settings.from_values({"server": {}, "output": output, "vault": "/v", "key_file": "/k", name: path})


def test_the_key_of_a_demo_is_not_there_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    output = tmp_path / "output"
    told = {"output": output, "vault": tmp_path / "people.vault", "key_file": tmp_path / "key"}
    folder = output / "demo-2"
    folder.mkdir(parents=True)
    page = LivePage(FOLDER / "page.html", port=0)
    settings = Settings.from_values({**told, "encoder": {"engine": "dvector"}})
    app = make(Environment(settings, page, FOLDER, folder, is_demo=True))
    app.vault.put(somebody("Ann"))
    assert (folder / "biometrics.vault").exists()
    assert not list(output.rglob("*.key"))
    assert list(app.vault.all()) == ["Ann"]
    assert not told["vault"].exists()


def test_a_key_that_a_full_disk_has_cut_is_not_in_the_way_afterwards(vault: Vault) -> None:
    with full_disk(), pytest.raises(UsageError, match="key' cannot be written: "):
        vault.put(somebody("Ann"))
    vault.put(somebody("Ann"))
    with full_disk(), pytest.raises(UsageError, match="cannot be written: "):
        vault.rotate()
    assert list(vault.all()) == ["Ann"]
    assert vault.rotate() == 1
    assert list(vault.all()) == ["Ann"]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_enrolments_can_be_read_from_a_folder_that_nobody_can_write_to(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    vault.put(somebody("Ann"))

    def read_only(path: Any, mode: str = "r", **options: Any) -> Any:
        if mode != "r":
            raise OSError(number, os.strerror(number), str(path))
        return Path(path).open(mode, **options)

    monkeypatch.setattr(vaults, "open", read_only, raising=False)
    assert list(vault.all()) == ["Ann"]
    for change in (vault.rotate, lambda: vault.forget("Ann"), lambda: vault.put(somebody("Bob"))):
        with pytest.raises(UsageError, match="cannot be opened: "):
            change()


def test_nobody_takes_a_name_that_somebody_else_was_given_meanwhile(vault: Vault) -> None:
    vault.put(somebody("Ann"))
    ann = vault.all()["Ann"]
    with pytest.raises(UsageError, match="somebody else was enrolled as Ann meanwhile"):
        vault.put(somebody("Ann", 2.0))
    vault.put(somebody("Ann", 2.0), before=ann)
    with pytest.raises(UsageError, match="meanwhile"):
        vault.put(somebody("Ann", 3.0), before=ann)
    assert vault.all()["Ann"].vectors[0, 0] == 2.0


class Slow(SpectrumEncoder):
    """Takes a while, in which another call goes on."""

    takes_s = 0.3

    async def encode(self, audio: bytes, *, sample_rate: int) -> Vector:
        await asyncio.sleep(self.takes_s)
        return await super().encode(audio, sample_rate=sample_rate)


@asynccontextmanager
async def served(
    vault: Vault, encoder: SpectrumEncoder | None = None
) -> AsyncIterator[tuple[Biometrics, Server, list[str]]]:
    problems: list[str] = []

    def show(kind: str, *, key: str | None = None, **data: Any) -> None:
        del key
        if kind == "problem":
            problems.append(data["text"])

    told = {"threshold": 0.8, "telephone_threshold": 0.8, "enrol_s": 4, "enrol_by_call": True, "server": {}}
    app = Biometrics(encoder or Slow(), vault, settings=Settings.from_values(told), show=show)
    async with serve(app.on_connect) as server:
        yield app, server, problems


async def called(server: Server, app: Biometrics, speech: Audio, **headers: str) -> tuple[str, str]:
    before = len(app.decisions)
    async with server.call(headers=headers) as call:
        await call.say(speech)
        await asyncio.sleep(0.5)
    for _ in range(50):
        if len(app.decisions) > before and not server.connections:
            break
        await asyncio.sleep(0.1)
    (decision,) = app.decisions[before:]
    return decision.verdict, decision.why


@in_virtual_time
async def test_a_full_disk_keeps_no_decision_back(vault: Vault, caplog: pytest.LogCaptureFixture) -> None:
    async with served(vault) as (app, server, problems):
        assert await called(server, app, UNLESS, enrol="Reader", consent="asked") == ("enrolled", "")
        with full_disk():
            assert await called(server, app, HE_WAS + HE_WAS, claim="Reader") == ("accepted", "")
    (problem,) = problems
    assert "Reader: this recording will not be known again" in problem
    assert problem in caplog.text


@in_virtual_time
async def test_who_could_not_be_kept_is_not_told_that_they_have_said_too_little(vault: Vault) -> None:
    async with served(vault) as (app, server, _):
        with full_disk():
            verdict, why = await called(server, app, UNLESS + HE_WAS, enrol="Reader", consent="asked")
        assert verdict == "failed"
        assert "cannot be written" in why
        assert await called(server, app, UNLESS, enrol="Reader", consent="asked") == ("enrolled", "")


@in_virtual_time
async def test_of_two_who_enrol_under_one_name_at_once_one_is_refused(vault: Vault) -> None:
    times = np.arange(len(UNLESS.samples)) / UNLESS.rate_hz
    other = Audio((UNLESS.samples * np.cos(2 * np.pi * 1500 * times)).astype("<i2").tobytes(), UNLESS.rate_hz)
    headers = {"enrol": "Reader", "consent": "asked"}
    async with (
        served(vault) as (app, server, _),
        server.call(headers=headers) as one,
        server.call(headers=headers) as two,
    ):
        await asyncio.gather(one.say(UNLESS + UNLESS), two.say(other + other))
        await asyncio.sleep(1)
    assert sorted(each.verdict for each in app.decisions) == ["enrolled", "refused"]


class Broken(SpectrumEncoder):
    """Fails with an error of its own, or never answers."""

    def __init__(self, *, hangs: bool) -> None:
        super().__init__()
        self.hangs = hangs

    async def encode(self, audio: bytes, *, sample_rate: int) -> Vector:
        del audio, sample_rate
        if self.hangs:
            await asyncio.Event().wait()
        raise LookupError("no voice")


@in_virtual_time
@pytest.mark.parametrize("hangs", [False, True])
@pytest.mark.parametrize("headers", [{"claim": "Ann"}, {"enrol": "Ann", "consent": "asked"}, {}])
async def test_a_call_is_decided_though_the_encoder_fails_in_its_own_way(
    vault: Vault, headers: dict[str, str], hangs: bool
) -> None:
    async with served(vault, Broken(hangs=hangs)) as (app, server, problems):
        async with server.call(headers=headers) as call:
            await call.say(UNLESS + HE_WAS)
        await asyncio.sleep(40)
        (decision,) = app.decisions
        assert decision.verdict == "failed"
        assert decision.why.startswith("no answer within " if hangs else "LookupError: no voice")
        assert decision.why in problems[-1]


@in_virtual_time
async def test_a_call_is_decided_though_the_key_is_gone(vault: Vault) -> None:
    vault.put(somebody("Ann"))
    vault.keys.file.unlink()
    async with served(vault) as (app, server, problems):
        verdict, why = await called(server, app, UNLESS, claim="Ann")
    assert verdict == "failed"
    assert "there is no key in" in why
    assert "who is enrolled cannot be read: there is no key in" in problems[0]


@in_virtual_time
async def test_a_slow_encoder_decides_of_all_that_was_said_and_keeps_no_audio_waiting(vault: Vault) -> None:
    slow = Slow()
    slow.takes_s = 2.6
    async with served(vault, slow) as (app, server, _):
        async with server.call(headers={"claim": "Ann"}) as call:
            await call.say(UNLESS)
            assert call.client.statistics().buffered_peak_ms < 500
        await asyncio.sleep(10)
        (decision,) = app.decisions
    assert decision.verdict == "rejected"
    assert decision.speech_s > 3
