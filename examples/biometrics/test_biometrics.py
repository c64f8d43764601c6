# SPDX-License-Identifier: Apache-2.0
"""Calls in virtual time, with an encoder that knows spectra; and what scores, prints and vault do."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_connector.audio.resample import resample
from audio_connector.engines import EngineError, Vector
from audio_connector.errors import UsageError
from audio_connector.testing import Audio, Server, in_virtual_time, serve
from audio_connector.testing.scripted import SpectrumEncoder
from biometrics import spoof
from biometrics.app import Biometrics, Settings
from biometrics.judging import Decision, Lines, judge, nearest
from biometrics.likeness import best, equal_error, errors_at, oddest, template
from biometrics.measure import compare
from biometrics.vault import KEPT_PRINTS, KEY_VARIABLE, NEW_KEY_VARIABLE, Enrolment, Keys, Vault, new_key

UNLESS = Audio.of("sample:unless-to-be")
HE_WAS = Audio.of("sample:he-was-not")
READER = UNLESS + HE_WAS


def changed(voice: Audio) -> Audio:
    """Somebody else who says the same: the spectrum is another one, and the pauses are not."""
    times = np.arange(len(voice.samples)) / voice.rate_hz
    moved = voice.samples * np.cos(2 * np.pi * 1500 * times)
    return Audio(moved.astype("<i2").tobytes(), voice.rate_hz)


OTHER = changed(UNLESS)


# How alike, and how often that is wrong.


def test_errors_are_counted_on_both_sides_of_the_line() -> None:
    errors = errors_at(0.5, [0.4, 0.5, 0.9, 0.9], [0.1, 0.5])
    assert (errors.false_rejects, errors.false_accepts) == (0.25, 0.5)
    for genuine, impostor in (("", "1"), ("1", "")):
        with pytest.raises(UsageError, match="two speakers at least"):
            equal_error([float(each) for each in genuine], [float(each) for each in impostor])


def test_where_voices_are_apart_the_line_is_in_the_middle_and_never_wrong() -> None:
    errors = equal_error([0.8, 0.9, 1.0], [0.1, 0.2, 0.4])
    assert (errors.false_rejects, errors.false_accepts) == (0.0, 0.0)
    assert errors.threshold == pytest.approx(0.6)


@pytest.mark.parametrize("seed", range(20))
def test_the_equal_error_rate_is_one_and_does_not_depend_on_the_scale(seed: int) -> None:
    random = np.random.default_rng(seed)
    genuine = random.normal(1.0, 1.0, 400)
    impostor = random.normal(-1.0, 1.0, 900)
    errors = equal_error(list(genuine), list(impostor))
    # Two normal distributions two deviations apart cross at 15.9 %.
    assert errors.false_rejects == pytest.approx(0.159, abs=0.06)
    assert errors.false_accepts == pytest.approx(errors.false_rejects, abs=0.005)
    stretched = equal_error(list(np.exp(genuine)), list(np.exp(impostor)))
    assert stretched.false_accepts == pytest.approx(errors.false_accepts, abs=0.005)


def test_who_is_the_nearest_and_by_how_much() -> None:
    ann, bob = np.array([1, 0], np.float32), np.array([0.6, 0.8], np.float32)
    name, score, margin = best(ann, {"Ann": ann, "Bob": bob})
    assert (name, score) == ("Ann", 1.0)
    assert margin == pytest.approx(0.4)
    assert best(ann, {"Ann": ann})[2] == 2.0
    with pytest.raises(UsageError, match="nobody is enrolled"):
        best(ann, {})
    assert template([ann, bob]) @ template([ann, bob]) == pytest.approx(1)


def test_a_sample_of_another_voice_is_seen_among_the_rest_and_two_halves_are_too() -> None:
    ann, bob = np.array([1, 0], np.float32), np.array([0.2, 0.98], np.float32)
    assert oddest(np.stack([ann, ann, ann])) == 1
    for samples in ([ann, ann, bob], [ann, ann, bob, bob], [ann, bob]):
        assert oddest(np.stack(samples)) < 0.3
    assert oddest(np.stack([ann])) == 1


def test_no_piece_is_compared_with_an_enrolment_that_it_is_part_of() -> None:
    rows = [np.eye(8, dtype=np.float32)[number] for number in range(8)]
    measured = compare({"a": rows[:4], "b": rows[4:]}, enrol_pieces=2)
    assert len(measured.genuine) == 2 * 2 * 2
    assert len(measured.impostor) == 2 * 2 * 4
    assert set(measured.genuine) == {0.0}  # rows have nothing in common but with themselves
    said = "\n".join(measured.told(0.5))
    assert "2 speakers, 8 pieces" in said
    assert "This is little: 1 pair of people" in said


def test_who_is_as_near_to_two_people_is_neither_and_another_engine_knows_nobody() -> None:
    twins = {name: somebody(name, 1.0) for name in ("Ann", "Eve")}
    voice = twins["Ann"].voice
    lines = Lines(0.5, 0.05)

    def decided(claim: str, engine: str = "spectrum") -> str:
        found = nearest(voice, twins, claim=claim, engine=engine)
        return judge(found, HE_WAS.pcm, line_hz=16_000, claim=claim, lines=lines, speech_s=3).verdict

    assert decided("") == "unknown"
    assert decided("Eve") == "accepted"
    assert decided("Eve", "other") == "rejected"
    assert decided("", "other") == "unknown"


@pytest.mark.parametrize(("line_hz", "threshold"), [(8_000, 0.77), (16_000, 0.65), (24_000, 0.65)])
def test_a_telephone_has_a_line_of_its_own(line_hz: int, threshold: float) -> None:
    assert Settings(server={}).lines(line_hz) == Lines(threshold, 0.05)


# What looks like a recording.


def copies() -> dict[str, bytes]:
    """The same recording, as it may come back."""
    noise = np.random.default_rng(1).normal(0, 300, len(UNLESS.samples))
    return {
        "later": (Audio.silence(0.777) + UNLESS).pcm,
        "softer": (UNLESS.samples // 3).astype("<i2").tobytes(),
        "by telephone": resample(resample(UNLESS.pcm, 16_000, 8_000), 8_000, 16_000),
        "with noise": np.clip(UNLESS.samples + noise, -32768, 32767).astype("<i2").tobytes(),
        "a part": UNLESS.between(1.3, 4.3).pcm,
    }


@pytest.mark.parametrize("how", copies())
def test_a_recording_is_known_again(how: str) -> None:
    heard = spoof.print_of(READER.pcm)
    assert spoof.difference(spoof.print_of(copies()[how]), heard) < spoof.COPY


def test_another_sentence_of_the_same_voice_is_no_copy_and_neither_is_silence() -> None:
    one, other = spoof.print_of(UNLESS.pcm), spoof.print_of(HE_WAS.pcm)
    assert spoof.difference(one, other) > 0.38
    silence = spoof.print_of(bytes(64_000))
    for each in (one, silence, spoof.print_of(b"")):
        assert spoof.difference(silence, each) == 0.5
    syllable = spoof.print_of(UNLESS.between(1, 1.6).pcm)  # too little to know anything by
    assert spoof.difference(one, syllable) == 0.5


@pytest.mark.parametrize("audio", [UNLESS.pcm, bytes(9_000), b""])
def test_a_print_is_the_same_when_it_comes_back_from_the_vault(audio: bytes) -> None:
    own = spoof.print_of(audio)
    again = spoof.Print.unpacked(own.packed())
    assert np.array_equal(again.bits, own.bits)
    assert np.array_equal(again.loud, own.loud)


def test_hints_say_what_is_odd_and_nothing_of_what_is_not() -> None:
    bright = spoof.brightness_db(UNLESS.pcm)
    heard = [spoof.print_of(UNLESS.pcm)]

    def hints(audio: bytes) -> list[str]:
        return spoof.hints(audio, heard_before=heard, enrolled_brightness_db=bright)

    assert hints(HE_WAS.pcm) == []
    assert hints(UNLESS.pcm) == ["the same recording was heard before"]
    narrow = resample(resample(HE_WAS.pcm, 16_000, 8_000), 8_000, 16_000)
    assert hints(narrow) == ["lacks the high frequencies of the enrolment"]
    loud = np.clip(HE_WAS.samples.astype(np.int32) * 30, -32768, 32767).astype("<i2").tobytes()
    assert "is clipped" in hints(loud)
    with pytest.raises(UsageError, match="whole 16-bit samples"):
        hints(b"x")


# The vault.


def somebody(name: str, value: float = 1.0) -> Enrolment:
    return Enrolment(
        name,
        np.full((2, 4), value, np.float32),
        engine="spectrum",
        line_hz=16_000,
        brightness_db=-20.0,
        consent="asked by the test",
        enrolled_at="2026-01-01T00:00:00+00:00",
        prints=(spoof.print_of(UNLESS.pcm),),
    )


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    monkeypatch.delenv(NEW_KEY_VARIABLE, raising=False)
    return Vault(tmp_path / "people.vault", Keys(tmp_path / "key"))


def test_who_is_put_in_comes_out_and_nothing_of_it_can_be_read(vault: Vault) -> None:
    assert vault.all() == {}
    assert not vault.forget("Ann")
    assert not vault.keys.file.exists()
    vault.put(somebody("Ann"))
    vault.put(somebody("Bob", 2.0))
    known = vault.all()
    assert list(known) == ["Ann", "Bob"]
    assert np.array_equal(known["Bob"].vectors, somebody("Bob", 2.0).vectors)
    assert known["Ann"].consent == "asked by the test"
    assert b"Ann" not in vault.path.read_bytes()
    for path in (vault.path, vault.keys.file):
        assert path.stat().st_mode & 0o077 == 0
    assert vault.forget("Ann")
    assert not vault.forget("Ann")
    assert list(vault.all()) == ["Bob"]
    vault.heard("Ann", spoof.print_of(UNLESS.pcm))  # who was forgotten does not come back
    for _ in range(KEPT_PRINTS + 5):
        vault.heard("Bob", spoof.print_of(HE_WAS.pcm))
    assert list(vault.all()) == ["Bob"]
    assert len(vault.all()["Bob"].prints) == KEPT_PRINTS


def test_what_was_changed_is_refused(vault: Vault) -> None:
    vault.put(somebody("Ann"))
    good = vault.path.read_text(encoding="ascii")
    sealed = json.loads(good)
    data = bytearray(base64.b64decode(sealed["data"]))
    data[5] ^= 1
    changed = json.dumps({**sealed, "data": base64.b64encode(data).decode()})
    for text in (changed, good[:100], "{}", "[]", "", "null"):
        vault.path.write_text(text, encoding="ascii")
        with pytest.raises(UsageError, match="is no file of enrolments, or was changed"):
            vault.all()


def test_a_key_that_is_gone_wrong_or_open_to_others_is_told_with_what_mends_it(vault: Vault) -> None:
    vault.put(somebody("Ann"))
    file, text = vault.keys.file, vault.keys.file.read_text(encoding="ascii")
    file.chmod(0o644)
    with pytest.raises(UsageError, match="can be read by others; chmod 600"):
        vault.all()
    file.chmod(0o600)
    file.write_text("short", encoding="ascii")
    with pytest.raises(UsageError, match="is no key; expected 32 bytes in base64"):
        vault.all()
    file.write_bytes(base64.urlsafe_b64encode(new_key()))
    with pytest.raises(UsageError, match="; put that key into"):
        vault.all()
    file.unlink()
    for attempt in (vault.all, lambda: vault.put(somebody("Bob"))):
        with pytest.raises(UsageError, match="; put it back"):
            attempt()
    file.write_text(text, encoding="ascii")
    file.chmod(0o600)
    assert list(vault.all()) == ["Ann"]


def test_a_rotation_makes_the_old_key_and_the_old_file_worthless_to_each_other(
    vault: Vault, tmp_path: Path
) -> None:
    vault.put(somebody("Ann"))
    old_key, old_file = vault.keys.file.read_bytes(), vault.path.read_bytes()
    assert vault.rotate() == 1
    assert vault.keys.file.read_bytes() != old_key
    assert list(vault.all()) == ["Ann"]
    vault.path.write_bytes(old_file)
    with pytest.raises(UsageError, match="was encrypted with the key"):
        vault.all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key", "people.vault", "people.vault.lock"]


@pytest.mark.parametrize("where", ["before the vault", "before the key"])
def test_a_rotation_that_is_killed_loses_nobody(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    vault.put(somebody("Ann"))
    old = vault.path.read_bytes()

    class Killed(BaseException):
        pass

    write = Vault._write

    def die(self: Vault, known: Any, key: bytes) -> None:
        if where == "before the key":
            write(self, known, key)
        raise Killed

    monkeypatch.setattr(Vault, "_write", die)
    with pytest.raises(Killed):
        vault.rotate()
    monkeypatch.setattr(Vault, "_write", write)
    assert (vault.path.read_bytes() == old) == (where == "before the vault")
    assert list(vault.all()) == ["Ann"]
    vault.put(somebody("Bob"))
    assert vault.rotate() == 2
    assert list(vault.all()) == ["Ann", "Bob"]


def test_a_key_of_the_environment_counts_and_is_rotated_by_it(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (base64.urlsafe_b64encode(new_key()).decode() for _ in range(2))
    monkeypatch.setenv(KEY_VARIABLE, one)
    vault.put(somebody("Ann"))
    assert not vault.keys.file.exists()
    with pytest.raises(UsageError, match=f"put the new one into {NEW_KEY_VARIABLE}"):
        vault.rotate()
    monkeypatch.setenv(NEW_KEY_VARIABLE, other)
    assert vault.rotate() == 1
    with pytest.raises(UsageError, match="was encrypted with the key"):
        vault.all()
    monkeypatch.setenv(KEY_VARIABLE, other)
    assert list(vault.all()) == ["Ann"]


# Calls.


class Pitched(SpectrumEncoder):
    """Tells voices by their spectrum, more sharply: the reader's sentences are alike, tones are not."""

    fails = 0

    async def encode(self, audio: bytes, *, sample_rate: int) -> Vector:
        if self.fails:
            self.fails -= 1
            raise EngineError("the encoder is out of order")
        return await super().encode(audio, sample_rate=sample_rate)


class Bench:
    def __init__(self, app: Biometrics, server: Server, shown: list[tuple[str, dict[str, Any]]]) -> None:
        self.app, self.server, self.shown = app, server, shown

    @property
    def verdicts(self) -> list[tuple[str, str]]:
        return [(each.verdict, each.name) for each in self.app.decisions]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [data for each, data in self.shown if each == kind]

    async def call(self, *speech: Audio, **headers: str) -> Decision | None:
        """Call, speak, hang up; returns what was decided."""
        before = len(self.app.decisions)
        async with self.server.call(headers=headers) as call:
            for each in speech:
                await call.say(each)
            await asyncio.sleep(0.5)
        for _ in range(50):
            if len(self.app.decisions) > before and not self.server.connections:
                break
            await asyncio.sleep(0.1)
        return self.app.decisions[-1] if len(self.app.decisions) > before else None


@asynccontextmanager
async def bench(vault: Vault, *, on_decision: Any = None, **options: Any) -> AsyncIterator[Bench]:
    shown: list[tuple[str, dict[str, Any]]] = []
    told = {"threshold": 0.8, "telephone_threshold": 0.8, "enrol_s": 5, "enrol_by_call": True, **options}
    settings = Settings.from_values({"server": {}, **told})
    app = Biometrics(
        Pitched(),
        vault,
        settings=settings,
        show=lambda kind, *, key=None, **data: shown.append((kind, json.loads(json.dumps(data)))),
        on_decision=on_decision,
    )
    async with serve(app.on_connect) as server:
        yield Bench(app, server, shown)


@in_virtual_time
async def test_somebody_is_enrolled_and_verified_and_somebody_else_is_not(vault: Vault) -> None:
    async with bench(vault, enrol_s=4) as on:
        enrolled = await on.call(UNLESS, enrol="Reader", consent="asked")
        assert enrolled is not None
        assert (enrolled.verdict, enrolled.name) == ("enrolled", "Reader")
        assert vault.all()["Reader"].line_hz == 16_000
        again = await on.call(HE_WAS + HE_WAS, claim="Reader")
        assert again is not None
        assert (again.verdict, again.hints) == ("accepted", ())
        assert again.score > 0.8
        assert 3.0 <= again.speech_s < 3.5
        replayed = await on.call(HE_WAS + HE_WAS, claim="Reader")
        assert replayed is not None
        assert (replayed.verdict, replayed.hints) == ("suspicious", ("the same recording was heard before",))
        other = await on.call(OTHER, claim="Reader")
        assert other is not None
        assert (other.verdict, other.name) == ("rejected", "Reader")
        assert other.score < 0.5
        scores = [data["score"] for data in on.of("score") if data["call"] == other.call]
        assert len(scores) >= 4  # they go on after the decision
        nobody = await on.call(OTHER)
        assert nobody is not None
        assert (nobody.verdict, nobody.name) == ("unknown", "")
        known = await on.call(HE_WAS + HE_WAS)
        assert known is not None
        assert known.name == "Reader"
    assert [each["name"] for each in on.of("enrolled")[-1]["people"]] == ["Reader"]


@in_virtual_time
async def test_a_recording_of_the_enrolment_is_suspicious(vault: Vault) -> None:
    async with bench(vault) as on:
        await on.call(READER, enrol="Reader", consent="asked")
        played = await on.call(UNLESS, claim="Reader")
        assert played is not None
        assert played.verdict == "suspicious"
        assert played.hints == ("the same recording was heard before",)


@in_virtual_time
async def test_nobody_is_enrolled_without_consent_nor_over_somebody_nor_as_two(vault: Vault) -> None:
    async with bench(vault) as on:
        assert "consent" in (await on.call(READER, enrol="Reader")).why  # type: ignore[union-attr]
        await on.call(READER, enrol="Reader", consent="asked")
        over = await on.call(changed(READER), enrol="Reader", consent="asked")
        assert over is not None
        assert "Reader is enrolled, and this is another voice" in over.why
        two = await on.call(HE_WAS, OTHER, enrol="Two", consent="asked")
        assert two is not None
        assert "another voice than the rest" in two.why
        assert list(vault.all()) == ["Reader"]
    async with bench(vault, enrol_by_call=False) as on:
        shut = await on.call(READER, enrol="Ann", consent="asked")
        assert shut is not None
        assert (shut.verdict, shut.why) == ("refused", "settings.toml says enrol_by_call = false")


@in_virtual_time
async def test_a_claim_of_nobody_and_a_call_that_is_too_short(vault: Vault) -> None:
    async with bench(vault) as on:
        claim = await on.call(OTHER, claim="Ann")
        assert claim is not None
        assert (claim.verdict, claim.why) == ("rejected", "nobody of that name is enrolled with this engine")
        who = await on.call(OTHER)
        assert who is not None
        assert (who.verdict, who.why) == ("unknown", "nobody is enrolled with this engine")
        short = await on.call(OTHER.between(0, 1.5), claim="Ann")
        assert short is not None
        assert short.verdict == "too short"
        assert str(short) == f"too short: Ann after {short.speech_s:.1f} s: expected 3 s of speech"
        assert 1 <= short.speech_s < 3


@in_virtual_time
async def test_another_line_is_said_to_be_one(vault: Vault) -> None:
    async with bench(vault) as on:
        await on.call(READER, enrol="Reader", consent="asked")
        async with on.server.call(headers={"claim": "Reader"}, rate_hz=8000) as call:
            await call.say(HE_WAS + HE_WAS)
        await asyncio.sleep(1)
        assert "enrolled on a line of 16000 Hz and heard on one of 8000 Hz" in on.app.decisions[-1].why


@in_virtual_time
async def test_an_encoder_that_fails_is_told_of_and_the_next_second_decides(
    vault: Vault, caplog: Any
) -> None:
    async with bench(vault) as on:
        await on.call(READER, enrol="Reader", consent="asked")
        on.app.encoder.fails = 3  # type: ignore[attr-defined]
        decision = await on.call(HE_WAS + HE_WAS + HE_WAS, claim="Reader")
        assert decision is not None
        assert decision.speech_s >= 4
        assert len(on.of("problem")) == 3
    assert "out of order" in caplog.text


@in_virtual_time
async def test_calls_at_once_are_decided_apart_and_a_hook_that_fails_ends_none(
    vault: Vault, caplog: Any
) -> None:
    async def on_decision(decision: Decision) -> None:
        raise RuntimeError(f"no network for {decision.name}")

    async with bench(vault, on_decision=on_decision) as on:
        await on.call(READER, enrol="Reader", consent="asked")
        async with (
            on.server.call(headers={"claim": "Reader"}) as one,
            on.server.call(headers={"claim": "Reader"}) as other,
        ):
            await asyncio.gather(one.say(HE_WAS + HE_WAS), other.say(OTHER))
        await asyncio.sleep(1)
        assert len(on.app.decisions) == 3
        assert {each.verdict for each in on.app.decisions[1:]} > {"rejected"}
    assert "no network for Reader" in caplog.text
    assert {"text": "on_decision failed: RuntimeError"} in on.of("problem")
