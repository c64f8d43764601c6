# SPDX-License-Identifier: Apache-2.0
"""One call: who speaks is enrolled, verified or looked for, while they speak.

What the call is for, its headers say: ``enrol`` with ``consent``, or ``claim``, each with a name; or neither, which
asks who it is. Speech is collected; after each second of it the voice is compared, and after so many seconds it is
decided, once. The scores go on, since somebody else may take the telephone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from audio_connector import AudioConnectorConnection
from audio_connector.engines.base.deadline import within
from audio_connector.live.troubles import told
from audio_connector.turns import SpeechGoesOn, SpeechStarted, listen
from audio_connector.wire.quoting import printable
from biometrics import spoof
from biometrics.judging import (
    RATE_HZ,
    SAMPLE_BYTES,
    Decision,
    Refused,
    enrol,
    judge,
    nearest,
    too_short,
)

if TYPE_CHECKING:
    from biometrics.app import Biometrics

WINDOW_S: Final = 6.0
"""Of the latest speech that is compared: another voice shows within this."""
LOOK_S: Final = 1.0
"""Of new speech between two comparisons; one takes 40 ms for each second of the window."""
ENCODE_S: Final = 10.0
"""For a comparison, and twice that for an enrolment; an encoder that takes longer will not answer."""
RAW_S: Final = 10.0
"""Of the latest audio that is looked at for hints, with its pauses."""
MAX_NAME: Final = 60
MAX_CONSENT: Final = 200


class Call:
    """One call.

    Args:
        app: Whose.
        client: The connection.
    """

    def __init__(self, app: Biometrics, client: AudioConnectorConnection) -> None:
        self._app, self._client = app, client
        self._audio = client.audio(sample_rate=RATE_HZ)  # from now on
        headers = client.headers
        self._consent = printable(headers.get("consent", "").strip(), MAX_CONSENT)
        self._enrolling = printable(headers.get("enrol", "").strip(), MAX_NAME)
        self._claim = "" if self._enrolling else printable(headers.get("claim", "").strip(), MAX_NAME)
        self._speech, self._raw = bytearray(), bytearray()
        self._speech_bytes = 0
        self._looked_s = 0.0
        self._is_decided = False
        self._looking: asyncio.Task[None] | None = None
        self._failure = ""
        """Why the latest comparison failed."""

    async def run(self) -> None:
        """Listen until the call ends."""
        app, settings = self._app, self._app.settings
        what = "enrol" if self._enrolling else "verify" if self._claim else "who"
        name, call = self._enrolling or self._claim, self._client.id
        app.show("call", key=call, call=call, what=what, name=name)
        if refusal := self._refusal():
            await self._decide(Decision("refused", name, why=refusal))
            return
        try:
            async for event in listen(self._kept(self._audio)):
                if isinstance(event, SpeechStarted) or (
                    isinstance(event, SpeechGoesOn) and not event.pause_s
                ):
                    self._take(event.audio)
                    self._look_now_and_then()
            if self._looking is not None:
                await asyncio.wait({self._looking})
            wanted_s = settings.enrol_s if self._enrolling else settings.decide_s
            if not self._is_decided and self._looked_s < wanted_s <= self._spoken_s:
                await self._look()  # the one before was at work for long, and had less
        finally:
            if self._looking is not None:
                self._looking.cancel()
        if not self._is_decided:
            if self._failure and self._spoken_s >= wanted_s:
                decision = Decision("failed", name, why=self._failure)
            else:
                decision = too_short(name, self._spoken_s, wanted_s)
            await self._decide(decision)

    @property
    def _spoken_s(self) -> float:
        return self._speech_bytes / SAMPLE_BYTES / RATE_HZ

    def _refusal(self) -> str:
        """Why nobody is enrolled by this call, where that is what it is for: said before anybody speaks."""
        if self._enrolling and not self._app.settings.enrol_by_call:
            return "settings.toml says enrol_by_call = false"
        return (
            "no header consent, which says how this person has agreed"
            if self._enrolling and not self._consent
            else ""
        )

    async def _kept(self, audio: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for frame in audio:
            self._raw += frame
            del self._raw[: max(0, len(self._raw) - _bytes(RAW_S))]
            yield frame

    def _take(self, audio: bytes) -> None:
        self._speech_bytes += len(audio)
        self._speech += audio
        kept_s = self._app.settings.enrol_s + LOOK_S if self._enrolling else WINDOW_S
        del self._speech[: max(0, len(self._speech) - _bytes(kept_s))]

    def _look_now_and_then(self) -> None:
        """Look after each second of speech; an encoder that is slower is asked less often, and holds nothing up."""
        is_at_work = self._looking is not None and not self._looking.done()
        if self._spoken_s - self._looked_s >= LOOK_S and not is_at_work:
            self._looked_s = self._spoken_s
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        """Compare what was said so far; what fails is told, and the next second is another chance."""
        try:
            if not self._enrolling:
                await self._compare()
            elif not self._is_decided:
                spoken_s, of_s = round(self._spoken_s, 1), self._app.settings.enrol_s
                self._app.show(
                    "collected", key=self._client.id, call=self._client.id, seconds=spoken_s, of=of_s
                )
                if self._spoken_s >= of_s:
                    await self._enrol()
            self._failure = ""
        except Exception as error:  # noqa: BLE001 - of an encoder of one's own too
            self._failure = told(error)
            self._app.complain(f"{self._enrolling or self._claim or 'somebody'}: not compared: {told(error)}")

    async def _compare(self) -> None:
        app, settings = self._app, self._app.settings
        speech, raw, spoken_s = bytes(self._speech), bytes(self._raw), round(self._spoken_s, 2)
        voice = await within(ENCODE_S, app.encoder.encode(speech, sample_rate=RATE_HZ))
        found = nearest(voice, await app.known(), claim=self._claim, engine=app.engine)
        score = round(found.score, 3)
        lines = settings.lines(self._client.format.rate_hz)
        app.show("score", call=self._client.id, score=score, speech_s=spoken_s, threshold=lines.threshold)
        if self._is_decided or spoken_s < settings.decide_s:
            return
        decision = await asyncio.to_thread(
            judge, found, raw, line_hz=self._client.format.rate_hz, claim=self._claim, lines=lines,
            speech_s=spoken_s,
        )  # fmt: skip
        if decision.verdict in ("accepted", "recognised"):
            await app.remember(decision.name, spoof.print_of(raw))
        await self._decide(decision)

    async def _enrol(self) -> None:
        app, name = self._app, self._enrolling
        before = (await app.known()).get(name)
        try:
            enrolling = enrol(
                app.encoder, bytes(self._speech), bytes(self._raw), name=name, consent=self._consent,
                line_hz=self._client.format.rate_hz, before=before,
                threshold=app.settings.lines(self._client.format.rate_hz).threshold,
            )  # fmt: skip
            enrolment = await within(2 * ENCODE_S, enrolling)
        except Refused as error:
            await self._decide(Decision("refused", name, why=str(error)))
            return
        await app.keep(enrolment, before=before)
        await self._decide(Decision("enrolled", name, speech_s=round(self._spoken_s, 2)))

    async def _decide(self, decision: Decision) -> None:
        self._is_decided = True
        await self._app.decide(replace(decision, call=self._client.id))


def _bytes(seconds: float) -> int:
    return round(seconds * RATE_HZ) * SAMPLE_BYTES
