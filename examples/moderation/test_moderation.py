# SPDX-License-Identifier: Apache-2.0
"""Calls in virtual time, with engines that do as they are told; and what a policy, a clip and a log do."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import moderation
from audio_connector.engines import EngineError, Transcript
from audio_connector.engines.base.warm import warm_all
from audio_connector.errors import UsageError
from audio_connector.testing import Audio, Server, in_virtual_time, serve
from audio_connector.testing.scripted import ScriptedEars, ScriptedVoice, WordEmbedder
from moderation.app import Moderation, Settings
from moderation.audit import AuditBroken, AuditLog, verify
from moderation.call import Flag
from moderation.evidence import LONGEST_S, Evidence
from moderation.policy import Category, Change, MeaningJudge, Policy, Watch

POLICY = Policy(
    [
        Category(
            "insult", 2, "warn", "final", ["idiot*", "stupid", "shut up", "shut up you idiot", "*cunt*"]
        ),
        Category("threat", 3, "mute", "partial", ["hurt you"], ["I will break your window tonight."]),
    ],
    ["stupid of me", "Scunthorpe"],
)
SPEECH = Audio.of("sample:unless-to-be")
"""5.2 s: somebody speaks from 0.4 to 4.8 s."""


# What breaks which rule.


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Well, IDIOT!", ["idiot"]),
        ("You idiots; you idiotic people", ["idiots", "idiotic"]),
        ("Shut-up, you idiot. Shut up!", ["shut up you idiot", "shut up"]),
        ("stupid is he, and stupid of me", ["stupid"]),
        ("stupidity from Scunthorpe, cunt", ["cunt"]),
        ("\uff29\uff24\uff29\uff2f\uff34", ["idiot"]),
        ("… — !", []),
    ],
)
def test_words_are_found_as_the_rules_say(text: str, found: list[str]) -> None:
    assert [each.said for each in POLICY.find(text)] == found


def test_a_finding_says_where_it_was() -> None:
    first, second = POLICY.find("idiot one two three four five six idiot")
    assert first.at < 0.1
    assert second.at > 0.9
    assert (first.occurrence, second.occurrence) == (1, 2)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("allow = []", "expected one .categories.NAME."),
        (
            "[categories.x]\naction = 'bleep'",
            "categories.x: got action = 'bleep'; expected one of log, warn, mute",
        ),
        ("[categories.x]\nword = ['a']", "categories.x: got 'word'; expected some of severity"),
        ("[categories.x]\nwords = 'idiot'", "expected a list of texts"),
    ],
)
def test_a_policy_that_says_nothing_is_refused_with_its_place(tmp_path: Path, text: str, error: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=error) as caught:
        Policy.read(path)
    assert str(path) in str(caught.value)


def test_the_policy_that_comes_along_is_one() -> None:
    policy = Policy.read(Path(moderation.__file__ or "").with_name("policy.toml"))
    assert {each.action for each in policy.categories} == {"log", "warn", "mute"}
    assert not policy.find("I am in Scunthorpe, killing time. That was stupid of me. Scunt Thorpe!")


def states(changes: list[Change]) -> list[tuple[str, str]]:
    return [(each.finding.said, each.state) for each in changes]


def test_what_is_suspected_becomes_certain_or_is_withdrawn_and_each_once() -> None:
    watch = Watch(POLICY)
    assert states(watch.partial("you")) == []
    assert states(watch.partial("you idiot")) == [("idiot", "suspected")]
    assert states(watch.partial("you idiots are stupid")) == [("stupid", "suspected")]
    assert states(watch.partial("you")) == []
    assert states(watch.final("You idiots. Idiots!")) == [
        ("idiots", "certain"),
        ("idiots", "certain"),
        ("stupid", "withdrawn"),
    ]
    assert states(watch.final("")) == []


@in_virtual_time
async def test_meaning_is_judged_sentence_by_sentence() -> None:
    judge = MeaningJudge(POLICY, WordEmbedder())
    assert await judge.judge("Your window. Nice weather today.") == []
    (found,) = await judge.judge("Nice weather today. Tonight I break your window!")
    assert found.category.name == "threat"
    assert found.said == "Tonight I break your window!"
    assert found.at == 0.75
    assert found.rule == "as: I will break your window tonight."


# Evidence.

RATE_HZ = 1_000


def audio_of(begin_s: float, end_s: float) -> bytes:
    """Audio whose every sample says when it is."""
    return b"".join(
        number.to_bytes(2, "little") for number in range(round(begin_s * RATE_HZ), round(end_s * RATE_HZ))
    )


def evidence(keep_s: float = 20) -> Evidence:
    return Evidence("call", RATE_HZ, before_s=3, after_s=2, keep_s=keep_s)


@pytest.mark.parametrize("chunk", [1, 7, 20, 1000])
def test_a_clip_is_what_was_around_however_the_audio_was_cut(chunk: int) -> None:
    kept = evidence()
    whole = audio_of(0, 12)
    clips = []
    for begin in range(0, len(whole), chunk * 2):
        kept.write(whole[begin : begin + chunk * 2])
        if begin <= 8_000 * 2 < begin + chunk * 2:
            assert kept.want(7.5) == "call-1.wav"
        clips += kept.take()
    (clip,) = clips
    assert clip.audio == audio_of(4.5, 9.5)
    assert (clip.start_s, clip.end_s) == (4.5, 9.5)
    assert kept.take(is_over=True) == []


def test_flags_share_a_clip_up_to_its_bound() -> None:
    kept, names, clips = evidence(), [], []
    for second in range(40):
        kept.write(audio_of(second, second + 1))
        names.append(kept.want(second + 0.5))
        clips += kept.take()
    assert names[:2] == ["call-1.wav"] * 2
    assert 3 <= len(set(names)) <= 6
    assert all(clip.end_s - clip.start_s <= LONGEST_S for clip in clips)
    assert sum(len(clip.audio) > 0 for clip in clips) == len(clips) >= 2


def test_what_is_no_longer_kept_is_missing_and_memory_is_bounded() -> None:
    kept = evidence(keep_s=5)
    for second in range(60):
        kept.write(audio_of(second, second + 1))
    kept.want(10)
    (clip,) = kept.take()
    assert clip.audio == b""
    kept.want(56)
    (clip,) = kept.take(is_over=True)
    assert clip.audio == audio_of(clip.start_s, 58)
    assert 53 <= clip.start_s <= 55


# The audit log.


def written(folder: Path) -> Path:
    path = folder / "audit.jsonl"
    log = AuditLog(path)
    for number in range(5):
        log.write("certain", said=f"{number} ünï \ud83d", at_s=number / 3)
    log.close()
    return path


def test_a_log_goes_on_where_it_was(tmp_path: Path) -> None:
    path = written(tmp_path)
    before = verify(path)
    log = AuditLog(path)
    with pytest.raises(UsageError, match="another process writes to it"):
        AuditLog(path)
    last = log.write("withdrawn")
    log.close()
    log.close()
    done = verify(path, head=before.head)
    assert (done.lines, done.head) == (6, last["hash"])
    assert path.stat().st_mode & 0o077 == 0


def _changed(lines: list[str]) -> list[str]:
    return [line.replace("2 ünï", "2 uni") for line in lines]


@pytest.mark.parametrize(
    ("tamper", "error"),
    [
        (_changed, "line 3: it was changed"),
        (lambda lines: lines[1:], "line 1: it does not follow"),
        (lambda lines: [*lines[:2], *lines[3:]], "line 3: it does not follow"),
        (lambda lines: [*lines[:2], lines[3], lines[2], lines[4]], "line 3: it does not follow"),
        (lambda lines: [*lines, lines[4]], "line 6: it does not follow"),
        (lambda lines: [*lines, "[]"], "line 6: it is no whole line of JSON"),
        (lambda lines: [*lines[:4], lines[4][:30]], "line 5: it is no whole line of JSON"),
    ],
)
def test_who_tampers_with_a_log_is_seen(
    tmp_path: Path, tamper: Callable[[list[str]], list[str]], error: str
) -> None:
    path = written(tmp_path)
    lines = tamper(path.read_text(encoding="utf-8").splitlines())
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    for look in (verify, AuditLog):
        with pytest.raises(AuditBroken, match=error):
            look(path)


def test_half_a_line_of_a_full_disk_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    log.write("certain")
    with monkeypatch.context() as full:
        write = os.write
        full.setattr(os, "write", lambda file, text: write(file, text[:20]))
        with pytest.raises(OSError, match="the disk is full"):
            log.write("withdrawn")
    log.write("clip-to-be")
    log.close()
    assert verify(log.path).lines == 2


def test_lines_that_were_cut_off_are_seen_by_a_hash_that_was_noted(tmp_path: Path) -> None:
    path = written(tmp_path)
    head = verify(path).head
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("".join(f"{line}\n" for line in lines[:-1]), encoding="utf-8")
    assert verify(path).lines == 4
    with pytest.raises(AuditBroken, match="lines were cut off"):
        verify(path, head=head)


# Calls.


class Changing(ScriptedEars):
    """Ears that understand one thing while it is said, and another one in the end."""

    def __init__(self, partial: str, final: str) -> None:
        super().__init__([partial] * 9)
        self.final = final

    def hear(self, **options: Any) -> Any:
        hearing = super().hear(**options)
        finish = hearing.finish

        async def other() -> Transcript:
            heard = await finish()
            return Transcript(self.final, audio_s=heard.audio_s)

        hearing.finish = other  # type: ignore[method-assign]
        return hearing


class Bench:
    """The application, its server, and what it has shown."""

    def __init__(self, app: Moderation, server: Server, shown: list[tuple[str, dict[str, Any]]]) -> None:
        self.app, self.server, self.shown = app, server, shown

    @property
    def states(self) -> list[tuple[str, str]]:
        found = [(data["flag"], data["said"], data["state"]) for kind, data in self.shown if kind == "flag"]
        return [(said, state) for _, said, state in dict.fromkeys(found)]

    @property
    def flags(self) -> list[Flag]:
        return list(self.app.flags.values())


@asynccontextmanager
async def bench(ears: Any, folder: Path, *, embedder: Any = None, **options: Any) -> AsyncIterator[Bench]:
    shown: list[tuple[str, dict[str, Any]]] = []
    server: Server
    app = Moderation(
        ears,
        POLICY,
        voice=ScriptedVoice(),
        judges=[] if embedder is None else [MeaningJudge(POLICY, embedder)],
        settings=Settings(server={}, mute_s=5, warning="be polite"),
        audit=AuditLog(folder / "audit.jsonl"),
        folder=folder,
        show=lambda kind, *, key=None, **data: shown.append((kind, json.loads(json.dumps(data)))),
        sessions=lambda: server.handle.sessions,
        **options,
    )
    names: list[str] = []
    await warm_all(*app.engines, progress=lambda warmed: names.append(warmed.name))
    assert "the warning" in names
    async with serve(app.on_connect) as server:
        yield Bench(app, server, shown)
        for _ in range(100):  # until on_connect of the last call is over
            await asyncio.sleep(0.1)
            tasks = [task.get_coro().__qualname__ for task in asyncio.all_tasks()]  # type: ignore[union-attr]
            if not any("Call." in each or "Moderation." in each for each in tasks):
                break
        else:
            pytest.fail(f"left behind: {tasks}")
    await app.close()
    verify(folder / "audit.jsonl", clips=folder)


@in_virtual_time
async def test_an_insult_is_flagged_while_it_is_said_and_warned_about_when_it_is_certain(
    tmp_path: Path,
) -> None:
    ears = ScriptedEars(["you are an idiot and you know it and so do all of us", "you idiot"], takes_s=0.5)
    async with bench(ears, tmp_path) as on, on.server.call(headers={"name": "Ann"}) as call:
        await call.say(SPEECH.between(0, 4))
        assert on.states == [("idiot", "suspected")]
        assert on.flags[0].after_s < 1.5
        await call.say(SPEECH.between(4, 5.2))
        warning = await call.reply(within_s=3)
        assert warning.matches(Audio(ScriptedVoice.audio_of("be polite"), 16_000))
        assert on.states == [("idiot", "suspected"), ("idiot", "certain")]
        (flag,) = on.flags
        assert (flag.who, flag.action, flag.finding.category.name) == ("Ann", "warned", "insult")
        await asyncio.sleep(3)
        clip = Audio.of(tmp_path / flag.clip)
        start_s = max(0.0, flag.at_s - 3)
        assert clip.duration_s == pytest.approx(flag.at_s + 2 - start_s, abs=0.01)
        assert clip.matches(call.spoken.between(start_s, start_s + clip.duration_s))
        await call.say(SPEECH)
        await call.expect_silence(2)  # it was warned just now
        assert [flag.action for flag in on.flags] == ["warned", ""]


@in_virtual_time
async def test_what_a_final_takes_back_is_withdrawn_and_not_deleted(tmp_path: Path) -> None:
    ears = Changing("that was stupid", "that was stupid of me")
    async with bench(ears, tmp_path) as on, on.server.call() as call:
        await call.say(SPEECH)
        await call.expect_silence(2)
    assert on.states == [("stupid", "suspected"), ("stupid", "withdrawn")]
    events = [json.loads(line)["event"] for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert sorted(events) == ["clip", "suspected", "withdrawn"]


@in_virtual_time
async def test_a_threat_leaves_the_mix_at_once_and_comes_back(tmp_path: Path) -> None:
    ears = ScriptedEars(["I will hurt you"], words_per_s=2)
    async with bench(ears, tmp_path) as on, on.server.call("/", session_id="room") as call:
        session = on.server.handle.sessions["room"]
        mixed: list[tuple[float, bytes]] = []

        async def read() -> None:
            async for said in session.audio(mixed=True):
                mixed.append((said.start_s, said.audio))  # noqa: PERF401 - it is cancelled

        reading = asyncio.create_task(read())
        await call.say(SPEECH)
        (flag,) = on.flags
        assert flag.action == "muted"
        muted_s = flag.at_s + flag.after_s
        await call.say(SPEECH)
        await call.say(SPEECH)
        await asyncio.sleep(1)
        reading.cancel()
        loud = [start_s for start_s, audio in mixed if any(audio)]
        assert any(start_s < muted_s - 0.5 for start_s in loud)
        assert not [start_s for start_s in loud if muted_s + 0.2 < start_s < muted_s + 4.5]
        assert any(start_s > muted_s + 6 for start_s in loud)


@in_virtual_time
async def test_a_mute_for_what_was_not_said_is_taken_back(tmp_path: Path) -> None:
    ears = Changing("I will hurt you", "I will visit you")
    async with bench(ears, tmp_path) as on, on.server.call("/", session_id="room") as call:
        await call.say(SPEECH)
        await asyncio.sleep(1)
        events = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
        assert [(each["event"], each.get("why")) for each in events if "mute" in each["event"]] == [
            ("muted", None),
            ("unmuted", "withdrawn"),
        ]


@in_virtual_time
async def test_a_call_that_ends_at_once_leaves_flag_and_evidence(tmp_path: Path) -> None:
    ears = ScriptedEars(["you idiot"], takes_s=1.0)
    async with bench(ears, tmp_path) as on:
        async with on.server.call() as call:
            await call.say(SPEECH.between(0, 1.6))
        await asyncio.sleep(2)
        (flag,) = on.flags
        assert (flag.state, flag.action) == ("certain", "")  # nobody is there to be warned
        assert Audio.of(tmp_path / flag.clip).duration_s == pytest.approx(1.6, abs=0.1)
    (tmp_path / flag.clip).write_bytes(b"another one")
    with pytest.raises(AuditBroken, match="was changed after it was written"):
        verify(tmp_path / "audit.jsonl", clips=tmp_path)


@in_virtual_time
async def test_meaning_is_flagged_when_the_sentence_is_over_and_not_what_words_have_found(
    tmp_path: Path,
) -> None:
    ears = ScriptedEars(["Tonight I break your window.", "I break your window tonight, I hurt you."])
    async with bench(ears, tmp_path, embedder=WordEmbedder()) as on, on.server.call() as call:
        await call.say(SPEECH)
        await call.say(SPEECH)
        await asyncio.sleep(1)
    assert [flag.finding.rule for flag in on.flags] == ["as: I will break your window tonight.", "hurt you"]


class Failing(ScriptedEars):
    """Ears that fail in one utterance, and hear the next one."""

    async def _fail(self) -> Transcript:
        raise EngineError("the ears are deaf; try again")

    def hear(self, **options: Any) -> Any:
        hearing = super().hear(**options)
        if not self.heard:
            self.heard.append(0.0)
            hearing.finish = self._fail  # type: ignore[method-assign]
        return hearing


@in_virtual_time
async def test_ears_that_fail_are_told_of_and_the_call_goes_on(tmp_path: Path, caplog: Any) -> None:
    async with bench(Failing(["you stupid", "you idiot"]), tmp_path) as on, on.server.call() as call:
        await call.say(SPEECH)
        await call.say(SPEECH)
        await asyncio.sleep(1)
    problems = [data["text"] for kind, data in on.shown if kind == "problem"]
    assert "not moderated: the ears are deaf" in problems[-1]
    assert "the ears are deaf" in caplog.text
    assert on.states[-1] == ("idiot", "certain")


@in_virtual_time
async def test_two_calls_are_moderated_apart(tmp_path: Path) -> None:
    ears = ScriptedEars(
        lambda audio, rate_hz: "you idiot" if len(audio) > 3 * 2 * rate_hz else "good morning"
    )
    async with (
        bench(ears, tmp_path) as on,
        on.server.call(headers={"name": "Ann"}) as ann,
        on.server.call(headers={"name": "Bob"}) as bob,
    ):
        await asyncio.gather(ann.say(SPEECH), bob.say(SPEECH.between(0, 2)))
        await asyncio.sleep(3)
    assert [flag.who for flag in on.flags] == ["Ann"]
    assert {data["who"] for kind, data in on.shown if kind == "heard"} == {"Ann", "Bob"}


@in_virtual_time
async def test_the_hook_is_told_of_each_state_in_order_and_may_fail(tmp_path: Path, caplog: Any) -> None:
    told: list[tuple[str, str]] = []

    async def on_flag(flag: Flag) -> None:
        await asyncio.sleep(2)
        told.append((flag.finding.said, flag.state))
        raise RuntimeError("no network")

    ears = ScriptedEars(["you stupid idiot"])
    async with bench(ears, tmp_path, on_flag=on_flag) as on, on.server.call() as call:
        await call.say(SPEECH)
    assert sorted(told[:2]) == [("idiot", "suspected"), ("stupid", "suspected")]
    assert sorted(told[2:]) == [("idiot", "certain"), ("stupid", "certain")]
    assert ("problem", {"text": "on_flag failed: RuntimeError"}) in on.shown
    assert "no network" in caplog.text


@in_virtual_time
async def test_a_log_that_cannot_be_written_is_told_and_the_call_is_moderated_all_the_same(
    tmp_path: Path,
) -> None:
    async with bench(ScriptedEars(["you idiot"]), tmp_path) as on, on.server.call() as call:

        def refuse(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        on.app.audit.write = refuse  # type: ignore[method-assign,assignment]
        await call.say(SPEECH)
        await call.reply()
        assert on.states[-1] == ("idiot", "certain")
    assert any("audit log cannot be written" in data["text"] for kind, data in on.shown if kind == "problem")
