# SPDX-License-Identifier: Apache-2.0
"""The application: what it is made of and told, and where its flags go.

What is done about a flag is limited to what a connector can do: it can speak into the session, and leave a stream out
of the mix that `LiveSession.audio` gives; it cannot mute a publisher. Who wants that gives ``on_flag``, and calls
Vonage's REST API there.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Final, TypeAlias

from pydantic import Field

from audio_connector import AudioConnectorConnection
from audio_connector.engines import Engine, EngineError, Recogniser, Synthesiser
from audio_connector.live.demo import Outcome
from audio_connector.live.following import Following
from audio_connector.live.settings import AppSettings, EngineTable
from audio_connector.server.sessions import LiveSession
from audio_connector.simulator import CallReport
from moderation.audit import AuditLog
from moderation.call import Call, Flag
from moderation.policy import Judge, Policy

MAX_FLAGS: Final = 1000
"""That are known to the application; the audit log has all of them."""

FINISH_S: Final = 15.0
"""For what is still to be judged, written and told when the program ends."""

logger = logging.getLogger("moderation")


class Settings(AppSettings):
    """What ``settings.toml`` may say; each is explained there."""

    policy: Path = Path("policy.toml")
    language: str | None = "en"
    name_header: str = "name"
    mute_s: Annotated[float, Field(ge=0, le=3600)] = 30
    warning: Annotated[str, Field(min_length=1, max_length=500)] = (
        "Please stay polite. This call is moderated."
    )
    warn_every_s: Annotated[float, Field(ge=0, le=3600)] = 15
    before_s: Annotated[float, Field(ge=0, le=8)] = 3
    after_s: Annotated[float, Field(ge=0, le=8)] = 2
    recogniser: EngineTable = Field(default_factory=dict)
    synthesiser: EngineTable = Field(default_factory=dict)
    embedder: EngineTable = Field(default_factory=dict)


OnFlag: TypeAlias = Callable[[Flag], Awaitable[object]]


class Announcement:
    """The warning, spoken once and kept, so that it comes at once; an `Engine`."""

    name = "the warning"

    def __init__(self, voice: Synthesiser, text: str) -> None:
        self._voice, self._text = voice, text
        self.audio = b""
        self.sample_rate = 0

    async def warm(self) -> None:
        """Have it spoken."""
        if not self.audio:
            await self._voice.warm()
            self.audio = b"".join([piece async for piece in self._voice.say(self._text)])
            if not self.audio:
                raise EngineError(f"the voice made nothing of the warning {self._text!r}; expected speech")
            self.sample_rate = self._voice.sample_rate

    async def close(self) -> None:
        """Free the voice."""
        await self._voice.close()


class Moderation:
    """The application.

    Args:
        recogniser: Who understands what is said.
        policy: What is not to be said.
        voice: Who speaks the warning.
        judges: What finds more than words, see `Judge`.
        settings: The rest.
        audit: Where all of it is written down.
        folder: Where the clips go.
        show: `LivePage.show`.
        sessions: Gives the live sessions, where streams are muted.
        on_flag: Called with each flag when its state changes, one after the other.
    """

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        recogniser: Recogniser,
        policy: Policy,
        *,
        voice: Synthesiser,
        judges: Sequence[Judge] = (),
        settings: Settings,
        audit: AuditLog,
        folder: Path,
        show: Callable[..., object],
        sessions: Callable[[], Mapping[str, LiveSession]],
        on_flag: OnFlag | None = None,
    ) -> None:
        self.recogniser, self.policy, self.judges = recogniser, policy, judges
        self.warning = Announcement(voice, settings.warning)
        self.settings, self.audit, self.folder = settings, audit, folder
        self.show, self.sessions, self.on_flag = show, sessions, on_flag
        self.flags: dict[str, Flag] = {}
        """The latest, as they stand."""
        self._calls = 0
        self._following = Following(finish_s=FINISH_S)

    @property
    def engines(self) -> Sequence[Engine]:
        """What has to be ready before the first call."""
        return self.recogniser, self.warning, *self.judges

    async def on_connect(self, client: AudioConnectorConnection) -> None:
        """Have a call listened to until it ends."""
        self._calls += 1
        call = Call(self, client, f"{datetime.now(timezone.utc):%Y%m%d-%H%M%S}-{self._calls}")
        # In a task of its own: what was said last may be understood when the server waits for no handler any more.
        self._following.begin(client, self._moderate(call))

    async def _moderate(self, call: Call) -> None:
        try:
            await call.listen()
        finally:
            await call.close()

    async def close(self) -> None:
        """Finish the calls that have ended, and close the log."""
        await self._following.close()
        self.audit.close()

    async def outcome(self, reports: Sequence[CallReport]) -> Outcome:
        """Say what the demo's calls came to: Ann breaks each rule, and Bob says what only looks like it."""
        del reports
        await self._following.settle()
        flags = list(self.flags.values())
        lines = [
            f"{each.state}: {each.who} said {each.finding.said!r} ({each.finding.category.name}), flagged after "
            f"{each.after_s:.1f} s{each.action and f', {each.action}'}"
            for each in flags
        ]
        found = {each.finding.category.name for each in flags if each.state == "certain"}
        problems = [f"no flag for {each.name}" for each in self.policy.categories if each.name not in found]
        problems += [
            f"Bob was flagged for {each.finding.said!r}"
            for each in flags
            if each.who == "Bob" and each.state != "withdrawn"
        ]
        clips = [self.folder / name for name in dict.fromkeys(each.clip for each in flags)]
        problems += [f"no clip {path}" for path in clips if not path.is_file()]
        return Outcome(lines, [self.audit.path, *clips], problems)

    def keep(self, flag: Flag) -> None:
        """Write a flag down that has got into another state, and show it."""
        self.note(flag.state, **flag.as_json())
        self.show_flag(flag)

    def show_flag(self, flag: Flag) -> None:
        """Show a flag as it is by now."""
        self.flags[flag.id] = flag
        if len(self.flags) > MAX_FLAGS:
            del self.flags[next(iter(self.flags))]
        self.show("flag", key=flag.id, **flag.as_json())

    def note(self, event: str, **fields: object) -> None:
        """Write a line of the audit log; a disk that refuses does not end the call."""
        try:
            self.audit.write(event, **fields)
        except OSError as error:
            self.complain(f"the audit log cannot be written: {error}")

    def complain(self, problem: str) -> None:
        """Say in log and page what does not work; on the page once, or it would crowd out what came before."""
        logger.error("%s", problem)
        self.show("problem", key=problem, text=problem)
