# SPDX-License-Identifier: Apache-2.0
"""The application: what it is made of and told, and where its decisions go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

from pydantic import Field, model_validator

from audio_connector import AudioConnectorConnection
from audio_connector.engines import Engine, SpeakerEncoder
from audio_connector.engines.base.warm import name_of
from audio_connector.errors import UsageError
from audio_connector.live.demo import Outcome
from audio_connector.live.following import Following
from audio_connector.live.settings import AppSettings, EngineTable
from audio_connector.simulator import CallReport
from biometrics.call import ENCODE_S, Call
from biometrics.judging import Decision, Lines
from biometrics.spoof import Print
from biometrics.vault import Enrolment, Vault

MAX_DECISIONS: Final = 1000
HOOK_S: Final = 5.0
FINISH_S: Final = HOOK_S + 2 * ENCODE_S
"""For what is still to be decided, and told, when the program ends."""
NOT_A_TELEPHONE_HZ: Final = 16_000
DEMO: Final = ("enrolled", "accepted", "rejected", "suspicious", "unknown")
"""What the callers of scenario.yaml have to come to, one each."""

logger = logging.getLogger("biometrics")

OnDecision: TypeAlias = Callable[[Decision], Coroutine[Any, Any, object]]


class Settings(AppSettings):
    """What ``settings.toml`` may say; each is explained there."""

    vault: Path = Path("biometrics.vault")
    key_file: Path = Path("biometrics.key")
    threshold: Annotated[float, Field(gt=-1, lt=1)] = 0.65
    telephone_threshold: Annotated[float, Field(gt=-1, lt=1)] = 0.77
    margin: Annotated[float, Field(ge=0, lt=2)] = 0.05
    decide_s: Annotated[float, Field(ge=1, le=30)] = 3
    enrol_s: Annotated[float, Field(ge=2, le=60)] = 6
    enrol_by_call: bool = False
    encoder: EngineTable = Field(default_factory=dict)

    @model_validator(mode="after")
    def _are_not_shown(self) -> Settings:
        for name in ("vault", "key_file"):
            if self.output.resolve() in getattr(self, name).resolve().parents:
                raise ValueError(
                    f"{name} = {str(getattr(self, name))!r} lies below output = {str(self.output)!r}, and who can "
                    "open the page gets whatever is there; expected another folder"
                )
        return self

    def lines(self, line_hz: int) -> Lines:
        """Where lines are drawn on a line of this rate."""
        return Lines(
            self.telephone_threshold if line_hz < NOT_A_TELEPHONE_HZ else self.threshold, self.margin
        )


class Biometrics:
    """The application.

    Args:
        encoder: Who makes vectors of voices.
        vault: Who is enrolled.
        settings: The rest.
        show: `LivePage.show`.
        on_decision: Called with each decision; the call waits for it, for `HOOK_S` at most.
    """

    def __init__(
        self,
        encoder: SpeakerEncoder,
        vault: Vault,
        *,
        settings: Settings,
        show: Callable[..., object],
        on_decision: OnDecision | None = None,
    ) -> None:
        self.encoder, self.vault, self.settings, self.show = encoder, vault, settings, show
        self.on_decision = on_decision
        self.engine = name_of(encoder)
        self._following = Following(finish_s=FINISH_S)
        self.decisions: list[Decision] = []
        """The latest thousand."""

    @property
    def engines(self) -> Sequence[Engine]:
        """What has to be ready before the first call."""
        return (self.encoder,)

    async def on_connect(self, client: AudioConnectorConnection) -> None:
        """Have a call listened to until it ends."""
        # In a task of its own: it may be decided when the server waits for no handler any more.
        self._following.begin(client, self._listen(Call(self, client)))

    async def _listen(self, call: Call) -> None:
        await self.show_enrolled()
        await call.run()

    async def close(self) -> None:
        """Decide what is still to be decided."""
        await self._following.close()

    async def known(self) -> dict[str, Enrolment]:
        """Who is enrolled, as the file has it now."""
        return await asyncio.to_thread(self.vault.all)

    async def keep(self, enrolment: Enrolment, *, before: Enrolment | None) -> None:
        """Enrol somebody, in place of who had the name before."""
        await asyncio.to_thread(self.vault.put, enrolment, before=before)
        await self.show_enrolled()

    async def remember(self, name: str, heard: Print) -> None:
        """Know a recording again; a disk that refuses does not keep a decision back."""
        try:
            await asyncio.to_thread(self.vault.heard, name, heard)
        except UsageError as error:
            self.complain(f"{name}: this recording will not be known again: {error}")

    async def show_enrolled(self) -> None:
        """Show who is enrolled: names, not voices."""
        try:
            known = await self.known()
        except UsageError as error:  # each call says so as well, and that nothing can be compared
            self.complain(f"who is enrolled cannot be read: {error}")
            return
        people = [
            {"name": each.name, "at": each.enrolled_at, "line_hz": each.line_hz} for each in known.values()
        ]
        self.show("enrolled", key="enrolled", people=people)

    async def decide(self, decision: Decision) -> None:
        """Tell a decision, once."""
        self.decisions = [*self.decisions, decision][-MAX_DECISIONS:]
        logger.info("%s: %s", decision.call, decision)
        self.show("decision", key=decision.call, **decision.as_json())
        if self.on_decision is not None:
            try:
                await asyncio.wait_for(self.on_decision(decision), HOOK_S)
            except Exception as error:
                logger.exception("on_decision failed")
                self.complain(f"on_decision failed: {type(error).__name__}")

    def complain(self, problem: str) -> None:
        """Say in log and page what does not work; on the page once, or it would crowd out what came before."""
        logger.error("%s", problem)
        self.show("problem", key=problem, text=problem)

    async def outcome(self, reports: Sequence[CallReport]) -> Outcome:
        """Say what the demo's calls came to."""
        del reports
        await self._following.settle()
        came = [each.verdict for each in self.decisions]
        problems = [
            f"{each}: expected once, came {came.count(each)} times" for each in DEMO if came.count(each) != 1
        ]
        return Outcome([str(each) for each in self.decisions], [self.vault.path], problems)
