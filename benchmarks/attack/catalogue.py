# SPDX-License-Identifier: Apache-2.0
"""What an attack is, and all that there are, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.attack import audience, frames, memory, openings, tls_messages, words
from benchmarks.attack.peers import Outcome, Target


@dataclass(frozen=True, slots=True)
class Attack:
    """One way to harm.

    Attributes:
        name: On the command line.
        title: What the peers do.
        run: Does it, for so many seconds.
        peers: Whose log lines are counted together; what one peer does over many connections counts as one.
        server: Arguments of `benchmarks.servers.attacked`.
        is_brief: Part of the short form: one of each mechanism.
    """

    name: str
    title: str
    run: Callable[[Target, float], Outcome]
    peers: int = 1
    server: tuple[str, ...] = ()
    is_brief: bool = False


UNDISTURBED = Attack("undisturbed", "nobody", audience.stay_away)
ELSEWHERE = Attack("elsewhere", "1 peer, busy with somebody else", audience.attack_somebody_else)
"""What the machine itself makes of an attacker: one that misses the budget is no fault of a server."""

_TLS = ("--tls",)

ATTACKS = (
    Attack("pings", "1 peer: empty pings", frames.pings, is_brief=True),
    Attack("pings-10", "10 peers: empty pings", frames.pings_of_ten, peers=10),
    Attack("audio", "1 peer: audio of 2 bytes", frames.small_audio),
    Attack("audio-10", "10 peers: audio of 2 bytes", frames.small_audio_of_ten, peers=10, is_brief=True),
    Attack("fragments", "1 peer: fragments of 2 bytes", frames.fragments, is_brief=True),
    Attack("fragments-10", "10 peers: fragments of 2 bytes", frames.fragments_of_ten, peers=10),
    Attack("texts", "1 peer: known texts", frames.known_texts),
    Attack("bytes", "10 peers: audio byte by byte", frames.audio_byte_by_byte, peers=10),
    Attack("pings-reset", "pings, then a reset", frames.pings_and_reset, is_brief=True),
    Attack(
        "fragments-held",
        "10 peers: 1 MiB in fragments of 2, held",
        memory.held_fragments,
        peers=10,
    ),
    Attack("held-back", "200 peers: all but the last byte of 1 MiB", memory.held_back, peers=200),
    Attack(
        "wide-texts", "1 peer: a text of [],[],… of 1 MiB twice a second", memory.wide_texts, is_brief=True
    ),
    Attack("deep-texts", "1 peer: a text of [[[…]]] of 1 MiB twice a second", memory.deep_texts),
    Attack(
        "texts-unread",
        "10 peers: such texts, and nobody takes texts",
        memory.unread_texts,
        peers=10,
        server=("--application=audio-only",),
        is_brief=True,
    ),
    Attack(
        "hello-reset",
        "part of a TLS hello and a reset, 200/s",
        openings.cut_hellos,
        server=_TLS,
        is_brief=True,
    ),
    Attack(
        "hello-reset-full",
        "the same where 320 descriptors are all",
        openings.cut_hellos_and_calls,
        server=(*_TLS, "--descriptors=320"),
    ),
    Attack("new-keys", "1 call: new keys of TLS, again and again", tls_messages.in_a_call, server=_TLS),
    Attack(
        "new-keys-early",
        "the same before the request",
        tls_messages.before_the_request,
        server=_TLS,
        is_brief=True,
    ),
    Attack("new-keys-late", "the same after a refusal", tls_messages.after_a_refusal, server=_TLS),
    Attack(
        "descriptors",
        "idle calls up to the limit of descriptors",
        openings.idle_calls,
        server=("--descriptors=160",),
        is_brief=True,
    ),
    Attack(
        "health-checks",
        "TCP health checks at a TLS port, 20/s",
        openings.health_checks,
        server=_TLS,
    ),
    Attack(
        "wrong-protocols", "TLS, SSH and a bare LF at a plain port", openings.wrong_protocols, is_brief=True
    ),
    Attack(
        "held-requests",
        "300 peers: the end of a request held back, then all at once",
        openings.held_requests,
        peers=300,
        is_brief=True,
    ),
    Attack(
        "held-hellos",
        "the same with TLS hellos",
        openings.held_hellos,
        peers=300,
        server=_TLS,
        is_brief=True,
    ),
    Attack("held-connections", "connections that say nothing, 800/s", openings.held_connections),
    Attack("slow-heads", "200 peers: a byte of a head now and then", openings.slow_heads, peers=200),
    Attack("upgrades", "calls that are dropped at once, 200/s", openings.upgrades),
    Attack(
        "upgrade-storm",
        "250 peers: calls that are dropped, as fast as it goes",
        openings.upgrade_storm,
        peers=250,
    ),
    Attack("bad-upgrades", "requests that are no upgrade, 200/s", openings.bad_upgrades),
    Attack("escapes", "close reasons and ids with escapes", words.escapes, is_brief=True),
    Attack("content-types", "20,000 different junk content types", words.content_types, is_brief=True),
)

BY_NAME = {attack.name: attack for attack in (UNDISTURBED, ELSEWHERE, *ATTACKS)}
