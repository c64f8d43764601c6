# SPDX-License-Identifier: Apache-2.0
"""The I/O side of one server: its listening sockets, its links and their timers, on whichever loop it is put.

In production that is the loop of a thread of its own (`io_thread`); in virtual time both sides are on one.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any

from audio_connector.call.asks import Ask, Judged
from audio_connector.call.ends import size_met
from audio_connector.call.machine import Call
from audio_connector.errors import AudioConnectorStartServerError
from audio_connector.intake.log_fields import fields_of_link, log
from audio_connector.playback.pacer import Pacer
from audio_connector.port.host import Deliver, Note
from audio_connector.port.meters import Found
from audio_connector.server.admission import Admission, Caller
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.endpoints import EndpointOptions, Endpoints
from audio_connector.server.io_meters import IoMeters
from audio_connector.server.judging import Asker, Judging
from audio_connector.server.link import Link, Refresher, Shared
from audio_connector.server.load import LoopLag, Memory
from audio_connector.wire.addresses import LOCAL_NAMES, is_loopback, why_not_bound
from audio_connector.wire.audio_transport import AudioTransport
from audio_connector.wire.forwarded import Proxies
from audio_connector.wire.identity import identity_of
from audio_connector.wire.json_audio import JsonAudio
from audio_connector.wire.network import Cancel, Listen, Listening, ListenOptions, Refused, Verdict
from audio_connector.wire.one_by_one import OneByOne
from audio_connector.wire.refusals import NOT_NOW, OTHER_CALL, Refusal
from audio_connector.wire.tls_files import TlsFiles
from audio_connector.wire.transport import Headers, Receiver, Upgrade, WireLimits

logger = logging.getLogger("audio_connector.server")

WRITE_HIGH_BYTES = 4096
"""A clear waits behind what the router has not read: this and the kernel's part, a second of audio together."""

ABORT_S = 0.5
"""For what is left after the closing handshakes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IoOptions:
    """How the I/O side of a process of its own differs.

    Attributes:
        first_link: The number of its first link.
        has_room: Whether there is room for another call; where not, upgrades get 503.
        find_application: Where there are several, returns who is asked about an upgrade; None where nobody is there.
        is_kept: Whether an application is kept from answering.
        on_opened: Where calls may go from one application to another: given each link, before anything is told of it.
        endpoints: What else its pages tell, and where; None for a server without.
        on_ended: Given each link after its end.
    """

    first_link: int = 1
    has_room: Callable[[], bool] = lambda: True
    find_application: Callable[[], Asker | None] | None = None
    is_kept: Callable[[object | None], bool] = lambda _: False
    endpoints: EndpointOptions | None = None
    on_opened: Callable[[Link], None] | None = None
    on_ended: Callable[[Link], None] | None = None


class IoSide:
    """Every link of one server. All methods run on the loop that it is put on, whose ``call_later`` it is given."""

    def __init__(
        self,
        config: AudioConnectorServerConfig,
        *,
        post: Deliver,
        note: Note,
        listen: Listen,
        clock: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], Any],
        options: IoOptions | None = None,
    ) -> None:
        self.is_open = False
        """True from the listening to the first wish to end it."""
        self.links: dict[int, Link] = {}
        self.pacer = Pacer(clock, call_later, self._on_paced_error)
        self._config = config
        self._audio_transport = AudioTransport.of(config.audio_transport)
        self._post = post
        self._note = note
        self._listen = listen
        self.clock = self._clock = clock
        options = options or IoOptions()
        self._by_identity: dict[tuple[str | None, str], Link] = {}
        """Where a router may dial again: its calls, by session and connection."""
        self._identities: dict[int, tuple[str | None, str]] = {}
        self._admission = Admission(config.limits)
        self._overruns: Counter[str] = Counter()
        """Calls that a bound of time or size has ended, by its name."""
        self.meters = IoMeters(self.links, self._refused, self._overruns, clock)
        ends = OneByOne(call_later)
        self._shared = Shared(self.pacer, Refresher(self.pacer), ends, clock, self.meters.meters)
        self._lag = LoopLag(lambda: bool(self.links), self.meters.note_lag)
        self._memory = Memory()
        self._next_link = options.first_link
        self._has_room = options.has_room
        self._endpoints = Endpoints(config.monitoring, self, options.endpoints)
        self._on_opened = options.on_opened
        self._on_ended = options.on_ended
        self._judging: Judging | None = None
        if config.authenticate is not None:
            self._judging = Judging(
                config.authenticate,
                within_s=config.timeouts.authenticate_s,
                clock=clock,
                find=options.find_application or (lambda: (None, post)),
                next_number=self._take_number,
                is_kept=options.is_kept,
            )
        self._tls_files: TlsFiles | None = None
        self._listening: Listening | None = None
        self._admin: Listening | None = None
        self._are_lent = False
        self._ends: list[asyncio.Future[None]] = []
        """Who waits for the end of a link."""

    async def listen(
        self, sockets: Sequence[socket.socket] = (), *, are_lent: bool = False
    ) -> tuple[str, int]:
        """Open the listening socket, or take these, which are closed at the end. Returns the first address.

        Args:
            sockets: Listening ones, in place of the configuration's host and port.
            are_lent: As of `ListenOptions`.
        """
        self._are_lent = are_lent
        try:
            self._listening = await self._listen(self._accept, self._options(sockets))
        except BaseException:
            for sock in sockets:
                sock.close()
            raise
        await self._listen_for_admin()
        self.is_open = True
        return self._listening.address

    def _options(self, sockets: Sequence[socket.socket]) -> ListenOptions:
        config = self._config
        return ListenOptions(
            host=config.host,
            port=config.port,
            sockets=sockets,
            are_lent=self._are_lent,
            ssl_context=self._ssl_context(),
            limits=WireLimits(
                max_message_bytes=config.limits.max_message_bytes,
                max_text_bytes=config.limits.max_text_bytes,
                close_timeout_s=config.timeouts.close_s,
                write_high_bytes=WRITE_HIGH_BYTES,
            ),
            pages=self._endpoints.of_port,
            handshake_timeout_s=config.timeouts.handshake_s,
            admit=self.admit,
            proxies=Proxies(config.limits.trusted_proxies),
            judge=None if self._judging is None else self._judge,
            judge_timeout_s=config.timeouts.authenticate_s,
        )

    async def _listen_for_admin(self) -> None:
        monitoring, is_admin = self._config.monitoring, self._endpoints.options.is_admin
        if monitoring.admin_port is None or not is_admin:
            return
        options = ListenOptions(
            host=monitoring.admin_host,
            port=monitoring.admin_port,
            pages=self._endpoints.of_admin,
            # Elsewhere, in a container for example, it goes by whatever name others gave it.
            page_names=LOCAL_NAMES if is_loopback(monitoring.admin_host) else None,
        )
        try:
            self._admin = await self._listen(lambda _: NOT_NOW, options)
        except (OSError, UnicodeError, OverflowError) as error:
            why = why_not_bound(options.host, options.port, error)
            raise AudioConnectorStartServerError(f"the admin port: {why}") from error
        host, port = self._admin.address
        shown = f"[{host}]" if ":" in host else host
        logger.info("health, figures and calls are told at http://%s:%d", shown, port)

    def _ssl_context(self) -> Callable[[], SSLContext] | None:
        tls, context = self._config.tls, self._config.ssl
        if tls is not None:
            self._tls_files = TlsFiles(tls.certfile, tls.keyfile, tls.client_ca)
            self._tls_files.context()  # says at once what is wrong with its dates
            return self._tls_files.context
        return None if context is None else lambda: context

    def refusals(self) -> Mapping[str, int]:
        """How many were refused, by `wire.refusals.Refusal.name`, or ended by a bound; from any thread."""
        return {**self._refused(), **self._overruns}

    def _refused(self) -> Mapping[str, int]:
        return {} if self._listening is None else self._listening.refusals

    def why_not_ready(self) -> str:
        """Why no call should come now, for who asks the server; "" where one may."""
        if not self.is_open:
            return "draining"
        if why := self._endpoints.options.why_not_ready():
            return why
        if (
            not self._has_room()
            or self._admission.why_overloaded(self._lag.ms, self._memory_mb()) is not None
        ):
            return "overloaded"
        return "full" if self._admission.is_full else ""

    def _memory_mb(self) -> float:
        return 0.0 if self._config.limits.max_memory_mb is None else self._memory.mb(self._clock())

    def certificate_expires_at(self) -> float | None:
        """As of `time.time`; None where there is none, or it is in a context of the application's."""
        return None if self._tls_files is None else self._tls_files.expires_at

    def tell(self, *, with_calls: bool) -> Found:
        """Say what there is here, for a sum that another process tells."""
        return self._endpoints.tell(with_calls=with_calls)

    def refuse_calls(self) -> None:
        """Answer every upgrade with 503 from now on.

        Sockets that are lent are left to whoever takes them over, and who comes waits there.
        """
        self.is_open = False
        if self._are_lent and self._listening is not None:
            self._listening.stop_accepting()

    def lend(self) -> None:
        """Leave the listening sockets to others: whoever comes waits in them."""
        self._are_lent = True
        if self._listening is not None:
            self._listening.lend()

    async def close_all(self, code: int, reason: str, timeout_s: float) -> None:
        """Stop listening, close every connection, and abort what is left at the deadline."""
        self.is_open = False
        if self._listening is not None:
            self._listening.stop()
        # Nobody is left whom the ends of many could hold up. What one raises is the loop's to report.
        asyncio.get_running_loop().call_soon(self._shared.ends.finish)
        await asyncio.sleep(0)  # what the listening socket dropped is told so
        await self.close_links(self.links, code, reason, timeout_s)

    async def close_links(self, links: Mapping[int, Link], code: int, reason: str, timeout_s: float) -> None:
        """Close those, and abort what is left of them at the deadline; they leave the mapping as they end."""
        for link in list(links.values()):
            link.close(code, reason)
        await self._wait_until_gone(links, timeout_s)
        for link in list(links.values()):
            link.abort(code, reason)
        await self._wait_until_gone(links, ABORT_S)

    def stop(self) -> None:
        """End everything at once."""
        self.is_open = False
        self.pacer.stop()
        if self._admin is not None:
            self._admin.stop()
        if self._listening is not None:
            self._listening.stop()
        for link in list(self.links.values()):
            link.abort(1001, "the server has stopped")
        self._shared.ends.finish()

    def apply(self, message: tuple[int, Ask], owner: object | None = None) -> None:
        """Do what an application asks of a link of its own. One that is gone has answered everybody at its end."""
        link_id, ask = message
        if type(ask) is Judged:
            if self._judging is not None:
                self._judging.answer(link_id, ask, owner)
        elif (link := self.links.get(link_id)) is not None and link.owner is owner:
            try:
                link.ask(ask)
            except Exception as error:
                self._on_link_error(link, error)

    def admit(self, upgrade: Upgrade) -> Refusal | None:
        """Judge an upgrade before anything that costs: who it is, for instance."""
        now = self._clock()
        lost = self._lost_call(self._identity_of(upgrade.headers))
        if lost is not None:
            return self._admission.redial(_caller(upgrade), lost.id, now)
        if not self._takes_calls:
            return NOT_NOW
        self.pacer.arm(self._lag, self._lag.next_beat(now))
        return self._admission.arrive(_caller(upgrade), now, lag_ms=self._lag.ms, memory_mb=self._memory_mb())

    def note_application(self) -> None:
        """There is one that can be asked, or it is known anew how one is."""
        if self._judging is not None:
            self._judging.ask_again()

    def lose_application(self, owner: object) -> None:
        """It is gone, and answers nothing any more."""
        if self._judging is not None:
            self._judging.lose(owner)

    def _judge(self, upgrade: Upgrade, decide: Callable[[Verdict], None]) -> Verdict | Cancel:
        assert self._judging is not None
        by = self._identity_of(upgrade.headers)
        lost = self._lost_call(by)

        def decide_late(verdict: Verdict) -> None:
            """Who was let in without a word of the call that there is by now is not let into that."""
            is_another = self._lost_call(by) not in (None, lost)
            decide(Refused(OTHER_CALL) if is_another and not isinstance(verdict, Refused) else verdict)

        return self._judging.judge(upgrade, None if lost is None else lost.identity, decide_late)

    @property
    def _takes_calls(self) -> bool:
        return self.is_open and self._has_room()

    def _take_number(self) -> int:
        number, self._next_link = self._next_link, self._next_link + 1
        return number

    def _lost_call(self, identity: tuple[str | None, str] | None) -> Link | None:
        """The call that an upgrade goes on with; which is no new one, so that it is let in always."""
        lost = None if identity is None else self._by_identity.get(identity)
        return lost if lost is not None and lost.can_resume else None

    def _accept(self, upgrade: Upgrade) -> Receiver | Refusal:
        identity = self._identity_of(upgrade.headers)
        lost = self._lost_call(identity)
        if lost is not None:
            self.meters.resume()
            return self._receiver(lost)
        if not self._takes_calls:
            return NOT_NOW
        caller = _caller(upgrade)
        full = self._admission.why_full(caller)  # again: it may have been admitted a while ago
        if full is not None:
            return full
        link_id = self._take_number()
        link = self.links[link_id] = Link(
            link_id,
            Call(
                self._config.playback,
                self._config.intake,
                self._config.timeouts,
                is_known=identity is not None,
                is_movable=self._on_opened is not None,
            ),
            post=self._post,
            note=self._note,
            shared=self._shared,
            on_end=self._forget,
        )
        self._admission.open(link_id, caller)
        self.meters.open()
        if self._on_opened is not None:
            self._on_opened(link)
        if identity is not None:
            self._by_identity[identity] = link
            self._identities[link_id] = identity
        return self._receiver(link)

    def _identity_of(self, headers: Headers) -> tuple[str | None, str] | None:
        """By what a router that dials again is known; None where that is not asked for, or it says nothing."""
        if self._config.timeouts.resume_s is None:
            return None
        connection_id = headers.get("connectionid") or identity_of("connection", headers, None)
        return (identity_of("session", headers, None), connection_id) if connection_id else None

    def _receiver(self, link: Link) -> Receiver:
        if not self._audio_transport.is_json:
            return link
        return JsonAudio(link, self._audio_transport, role="server", on_fault=link.note_fault)

    def _forget(self, link_id: int) -> None:
        link = self.links.pop(link_id, None)
        self._admission.end(link_id)
        if link is not None:
            met = link.call.liveness.ages.ended_by or size_met(link.call.end)
            if met is not None:
                self._overruns[met] += 1
        identity = self._identities.pop(link_id, None)
        if identity is not None and self._by_identity.get(identity) is link:
            del self._by_identity[identity]
        if link is not None:
            self.meters.end(link.call, self._clock() - link.opened_at)
            if self._on_ended is not None:
                self._on_ended(link)
        for future in self._ends:
            if not future.done():
                future.set_result(None)

    async def _wait_until_gone(self, links: Mapping[int, Link], timeout_s: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        while links and (left_s := until - loop.time()) > 0:
            ended = loop.create_future()
            self._ends.append(ended)
            await asyncio.wait((ended,), timeout=left_s)
            self._ends.remove(ended)

    def _on_paced_error(self, paced: object, error: Exception) -> None:
        """A link has failed, or something else that the pacer wakes, which is woken no more then."""
        if isinstance(paced, Link):
            self._on_link_error(paced, error)
        else:
            text = "%s is woken no more, by an error of the library; the calls go on"
            logger.error(text, type(paced).__name__, exc_info=error)

    def _on_link_error(self, link: Link, error: Exception) -> None:
        text = "connection %s: it is closed with 1011 by an error of the library"
        fields = fields_of_link(link.id, link.call.upgrade)
        log(logger, logging.ERROR, text, fields["connection"], fields=fields, error=error)
        link.report(error)
        link.close(1011, "internal error")


def _caller(upgrade: Upgrade) -> Caller:
    return Caller(upgrade.remote_address[0], identity_of("session", upgrade.headers, None))
