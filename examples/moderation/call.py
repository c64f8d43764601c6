# SPDX-License-Identifier: Apache-2.0
"""One call that is moderated.

Each utterance is recognised while it is said, in a task of its own. What a partial has is flagged at once; the final
makes it certain or withdraws it, and is judged by meaning besides. All times are seconds of the call's audio.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from audio_connector import AudioConnectorConnection, ConnectionClosed, LiveSession, SessionStream, UsageError
from audio_connector.audio.wav import WavWriter
from audio_connector.engines import Hearing, Transcript
from audio_connector.engines.base.deadline import begun_within, within
from audio_connector.live.troubles import told
from audio_connector.turns import SpeechEnded, SpeechGoesOn, SpeechStarted, TurnSettings, listen
from audio_connector.wire.quoting import printable
from moderation.evidence import Clip, Evidence
from moderation.policy import Change, Finding, State, Watch

if TYPE_CHECKING:
    from moderation.app import Moderation

RATE_HZ: Final = 16_000
MAX_SPEECH_S: Final = 12.0
"""Who speaks without a pause is judged by meaning this often."""
KEEP_S: Final = 30.0
"""Of audio for evidence: an utterance, what its clip has before it, and ten seconds in which it may be recognised."""
MAX_AT_WORK: Final = 6
"""Utterances of a call that are being recognised; where the recogniser is slower than that, one more is left out."""
MAX_UNTOLD: Final = 100
"""Flags of a call that ``on_flag`` has not taken yet."""
SHOWN_NAME: Final = 40
BEGIN_S: Final = 10.0
"""For a recogniser to begin to hear."""
FINAL_S: Final = 60.0
"""For a final or a judgement; an engine that takes longer will not answer."""
LAST_S: Final = 2.0
"""For the partials that come with a final; an engine that does not end them has told all that it will."""
LATE_S: Final = 30.0
"""How long the end of a call waits for what was said last."""
HOOK_S: Final = 10.0
"""How long the end of a call waits for ``on_flag``."""

logger = logging.getLogger("moderation")


@dataclass(frozen=True)
class Flag:
    """Something that broke a rule, as it is told to ``on_flag`` whenever its state changes.

    Attributes:
        id: Its own.
        call: The connection's id.
        session_id: Of the Vonage session, where the router has told it.
        who: The name that the connection was given, or its id.
        finding: What was found.
        state: "suspected", "certain" or "withdrawn".
        text: What was understood, as far as it went.
        at_s: When it was said, in seconds of the call's audio.
        after_s: How long after that it was flagged.
        clip: The file of evidence.
        action: What was done about it: "warned", "muted", or nothing.
    """

    id: str
    call: str
    session_id: str | None
    who: str
    finding: Finding
    state: State
    text: str
    at_s: float
    after_s: float
    clip: str
    action: str = ""

    def as_json(self) -> dict[str, Any]:
        """As the page and the audit log have it."""
        return {
            "flag": self.id,
            "call": self.call,
            "session": self.session_id,
            "who": self.who,
            "category": self.finding.category.name,
            "severity": self.finding.category.severity,
            "rule": self.finding.rule,
            "said": self.finding.said,
            "state": self.state,
            "text": self.text,
            "at_s": round(self.at_s, 2),
            "after_s": round(self.after_s, 2),
            "clip": self.clip,
            "action": self.action,
        }


class Call:
    """One call: its audio, its utterances, its flags."""

    def __init__(self, app: Moderation, client: AudioConnectorConnection, name: str) -> None:
        self._app, self._client, self._name = app, client, name
        self._audio = client.audio(sample_rate=RATE_HZ)  # from now on
        settings = app.settings
        self._evidence = Evidence(
            name, RATE_HZ, before_s=settings.before_s, after_s=settings.after_s, keep_s=KEEP_S
        )
        self._who = printable(client.headers.get(settings.name_header, client.id), SHOWN_NAME)
        self._flags = self._utterances = 0
        self._at_work: set[asyncio.Task[None]] = set()
        self._untold: asyncio.Queue[Flag | None] = asyncio.Queue()
        self._telling = asyncio.create_task(self._tell()) if app.on_flag else None
        self._warned_s = -settings.warn_every_s
        self._muted_by: set[str] = set()
        self._unmuting: asyncio.TimerHandle | None = None

    async def listen(self) -> None:
        """Have each utterance recognised in a task of its own; returns when the call ended and all is said of it."""
        utterance: _Utterance | None = None
        async for event in listen(self._kept(self._audio), settings=TurnSettings(max_speech_s=MAX_SPEECH_S)):
            match event:
                case SpeechStarted():
                    utterance = self._begin(event)
                case SpeechGoesOn() if utterance is not None:
                    utterance.pieces.put_nowait(event.audio)
                case SpeechEnded() if utterance is not None:
                    utterance.pieces.put_nowait(None)
                    utterance.ended.set_result(event)
        if self._at_work and (await asyncio.wait(self._at_work, timeout=LATE_S))[1]:
            why = f"no answer within {LATE_S:g} s"
            self._app.complain(f"{self._who}: the last words are not moderated: {why}")
            self._app.note("not moderated", who=self._who, until_s=round(self._evidence.now_s, 2), why=why)

    async def close(self) -> None:
        """Leave nothing behind: what is still wanted is written, what is at work is given up."""
        for task in self._at_work:
            task.cancel()
        if self._at_work:
            await asyncio.wait(self._at_work)
        self._unmute("the call has ended")
        await self._write(self._evidence.take(is_over=True))
        if self._telling is not None:
            self._untold.put_nowait(None)
            await asyncio.wait({self._telling}, timeout=HOOK_S)
            self._telling.cancel()
            await asyncio.wait({self._telling})

    async def _kept(self, audio: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for frame in audio:
            self._evidence.write(frame)
            await self._write(self._evidence.take())
            yield frame

    def _begin(self, event: SpeechStarted) -> _Utterance | None:
        if len(self._at_work) >= MAX_AT_WORK:
            self._leave_out(event.audio_start_s, f"{MAX_AT_WORK} utterances are not understood yet")
            return None
        self._utterances += 1
        name = f"{self._name}/{self._utterances}"
        ended: asyncio.Future[SpeechEnded] = asyncio.get_running_loop().create_future()
        utterance = _Utterance(name, event.audio_start_s, Watch(self._app.policy), ended)
        utterance.pieces.put_nowait(event.audio)
        task = asyncio.create_task(self._moderate(utterance))
        self._at_work.add(task)
        task.add_done_callback(self._is_done)
        return utterance

    def _is_done(self, task: asyncio.Task[None]) -> None:
        self._at_work.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("an utterance was not moderated", exc_info=error)
            self._app.complain(f"{self._who}: not moderated: {told(error)}")

    def _leave_out(self, start_s: float, why: str) -> None:
        """Say that an utterance is not moderated, in the audit log as well: its silence is taken for manners."""
        self._app.complain(f"{self._who}: not moderated: {why}")
        self._app.note("not moderated", who=self._who, start_s=round(start_s, 2), why=why)

    # One utterance.

    async def _moderate(self, utterance: _Utterance) -> None:
        final = await self._understood(utterance)
        if final is None:
            return
        await self._take(utterance, final, utterance.watch.final(final.text))
        for judge in self._app.judges:
            try:
                found = await within(FINAL_S, judge.judge(final.text))
            except Exception as error:  # noqa: BLE001 - of a judge of one's own too
                self._app.complain(f"{self._who}: judged by words alone: {told(error)}")
            else:
                flagged = {category for category, _, _ in utterance.flags}
                found = [each for each in found if each.category.name not in flagged]
                await self._take(utterance, final, [Change(each, "certain") for each in found])

    async def _understood(self, utterance: _Utterance) -> Transcript | None:
        """All that was said, its partials flagged while it was; None where the recogniser fails, which is told."""
        recogniser, language = self._app.recogniser, self._app.settings.language
        final: Transcript | None = None
        try:
            async with AsyncExitStack() as stack:
                hearing = await self._heard(utterance, stack)
                if hearing is not None:
                    final = await within(FINAL_S, hearing.finish())
                else:
                    ended = await utterance.ended
                    whole = recogniser.transcribe(
                        ended.audio, sample_rate=ended.sample_rate, language=language
                    )
                    final = await within(FINAL_S, whole)
        except Exception as error:  # noqa: BLE001 - of an engine of one's own too
            if final is not None:
                self._app.complain(f"{self._who}: the recogniser did not end well: {told(error)}")
            else:
                self._leave_out(utterance.start_s, told(error))
        return final

    async def _heard(self, utterance: _Utterance, stack: AsyncExitStack) -> Hearing | None:
        """Have it heard while it is said; None where that fails, and it is to be understood behind its end."""
        app = self._app
        try:
            begins = app.recogniser.hear(sample_rate=RATE_HZ, language=app.settings.language)
            hearing = await stack.enter_async_context(begun_within(BEGIN_S, begins))
            await stack.enter_async_context(_Last(self._partials(hearing, utterance)))
            while (piece := await utterance.pieces.get()) is not None:
                await hearing.write(piece)
        except Exception as error:  # noqa: BLE001 - likewise
            app.complain(f"{self._who}: flagged at the end of a sentence only: {told(error)}")
            return None
        return hearing

    async def _partials(self, hearing: Hearing, utterance: _Utterance) -> None:
        try:
            async for partial in hearing.partials():
                await self._take(utterance, partial, utterance.watch.partial(partial.text))
        except Exception as error:  # noqa: BLE001 - likewise
            self._app.complain(f"{self._who}: flagged at the end of a sentence only: {told(error)}")

    async def _take(self, utterance: _Utterance, heard: Transcript, changes: Sequence[Change]) -> None:
        """Show what was understood, and flag what of it is to be flagged."""
        self._app.show(
            "heard", key=utterance.name, who=self._who, text=heard.text, is_final=heard.is_final,
            start_s=round(utterance.start_s, 2),
        )  # fmt: skip
        for change in changes:
            flag = utterance.flags.get(change.finding.key)
            if flag is None:
                flag = self._raise(utterance, heard, change)
            flag = utterance.flags[change.finding.key] = replace(flag, state=change.state, text=heard.text)
            self._app.keep(flag)  # before anything is waited for: the call may end meanwhile
            acted = await self._act(flag)
            if acted != flag:
                utterance.flags[change.finding.key] = acted
                self._app.show_flag(acted)
            if self._telling is None:
                continue
            if self._untold.qsize() < MAX_UNTOLD:
                self._untold.put_nowait(acted)
            else:
                self._app.complain(f"on_flag is too slow; it is not told of flag {flag.id}")

    def _raise(self, utterance: _Utterance, heard: Transcript, change: Change) -> Flag:
        at_s = utterance.start_s + change.finding.at * heard.audio_s
        clip = self._evidence.want(at_s)
        self._flags += 1
        return Flag(
            f"{self._name}-{self._flags}", self._client.id, self._client.session_id, self._who, change.finding,
            change.state, heard.text, at_s, self._evidence.now_s - at_s, clip,
        )  # fmt: skip

    async def _write(self, clips: Sequence[Clip]) -> None:
        """Write clips, and their hashes into the log."""
        for clip in clips:
            if not clip.audio:
                self._app.complain(
                    f"{clip.name}: flagged too late, its audio is not kept any more; no evidence"
                )
                continue
            try:
                sha256 = await asyncio.to_thread(_save, self._app.folder / clip.name, clip.audio)
            except (OSError, ValueError) as error:
                self._app.complain(f"{clip.name}: the evidence cannot be written: {error}")
                continue
            start_s, end_s = round(clip.start_s, 2), round(clip.end_s, 2)
            self._app.note("clip", file=clip.name, sha256=sha256, who=self._who, start_s=start_s, end_s=end_s)
            self._app.show("clip", key=clip.name, file=clip.name)

    # What follows.

    async def _act(self, flag: Flag) -> Flag:
        """Do what the policy says, once for each flag; and take back what was done about a withdrawn one."""
        category = flag.finding.category
        if flag.state == "withdrawn":
            self._muted_by.discard(flag.id)
            if flag.action == "muted" and not self._muted_by:
                self._unmute("withdrawn")
            return flag
        if flag.action or (flag.state == "suspected" and category.acts_on == "final"):
            return flag
        if category.action == "warn":
            return replace(flag, action="warned" if await self._warn() else "")
        if category.action == "mute":
            return replace(flag, action="muted" if self._mute(flag.id) else "")
        return flag

    async def _warn(self) -> bool:
        """Speak the warning, unless it was spoken just now."""
        now_s, warning = self._evidence.now_s, self._app.warning
        if now_s - self._warned_s < self._app.settings.warn_every_s:
            return False
        self._warned_s = now_s
        try:
            async with self._client.speech() as speech:
                await speech.write(warning.audio, sample_rate=warning.sample_rate)
        except ConnectionClosed:
            return False
        self._app.note("warned", who=self._who, text=self._app.settings.warning)
        return True

    def _mute(self, flag_id: str) -> bool:
        """Leave the stream out of the session's mix for a while, from now on."""
        there = self._in_session()
        if there is None:
            return False
        session, stream = there
        session.mute(stream)
        self._muted_by.add(flag_id)
        if self._unmuting is not None:
            self._unmuting.cancel()
        loop = asyncio.get_running_loop()
        self._unmuting = loop.call_later(self._app.settings.mute_s, self._unmute, "the time is over")
        self._app.note("muted", who=self._who, flag=flag_id, for_s=self._app.settings.mute_s)
        return True

    def _in_session(self) -> tuple[LiveSession, SessionStream] | None:
        """The session and its stream; None where the router has told of no session, or that is over."""
        session = self._app.sessions().get(self._client.session_id or "")
        try:
            return None if session is None else (session, session.stream_of(self._client))
        except UsageError:  # ours is over, and another one of its id has begun
            return None

    def _unmute(self, why: str) -> None:
        if self._unmuting is None:
            return
        self._unmuting.cancel()
        self._unmuting = None
        self._muted_by.clear()
        if (there := self._in_session()) is not None:
            session, stream = there
            session.unmute(stream)
        self._app.note("unmuted", who=self._who, why=why)

    async def _tell(self) -> None:
        """Tell ``on_flag``, which may take its time, one flag after the other."""
        on_flag = self._app.on_flag
        while on_flag is not None and (flag := await self._untold.get()) is not None:
            try:
                await on_flag(flag)
            except Exception as error:
                logger.exception("on_flag failed for flag %s", flag.id)
                self._app.complain(f"on_flag failed: {type(error).__name__}")


@dataclass
class _Utterance:
    """What is known of one utterance."""

    name: str
    start_s: float
    watch: Watch
    ended: asyncio.Future[SpeechEnded]
    pieces: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    flags: dict[tuple[str, str, int], Flag] = field(default_factory=dict)


class _Last:
    """Lets the partials come that come with the final, and be done about, before that is judged."""

    def __init__(self, partials: Coroutine[Any, Any, None]) -> None:
        self._partials = asyncio.create_task(partials)

    async def __aenter__(self) -> None:
        """They have begun."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await asyncio.wait({self._partials}, timeout=LAST_S)
        self._partials.cancel()
        await asyncio.wait({self._partials})


def _save(path: Path, audio: bytes) -> str:
    with WavWriter(path, RATE_HZ) as file:
        file.write(audio)
    return hashlib.sha256(path.read_bytes()).hexdigest()
