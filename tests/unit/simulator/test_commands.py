# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from audio_connector.audio.format import AudioFormat
from audio_connector.simulator.commands import CommandDesk
from audio_connector.simulator.observer import Observer
from audio_connector.simulator.playout import PlayoutBuffer
from audio_connector.simulator.profile import PROFILES
from audio_connector.simulator.script import Impairments
from audio_connector.simulator.tally import Tally
from audio_connector.wire.codec import CLEAR_FORMS
from audio_connector.wire.messages import Cleared, Event, Notified

LOUD = b"\x00\x10" * 320
CLEAR = CLEAR_FORMS["action"]
NOTIFY = '{"action":"notify","payload":7}'


class Desk:
    """A desk, and everything that it has to do with."""

    def __init__(self, profile: str = "video", **impairments: Any) -> None:
        self.observer = Observer()
        self.playout = PlayoutBuffer(AudioFormat(16000), on_play=self.observer.played)
        self.tally = Tally()
        self.sent: list[Event] = []
        self.notes: list[tuple[str, str, str]] = []
        self.is_gone = False
        self.desk = CommandDesk(
            PROFILES[profile],
            Impairments(**impairments),
            playout=self.playout,
            observer=self.observer,
            tally=self.tally,
            send=self._send,
            note=lambda *note: self.notes.append(note),
        )

    def _send(self, event: Event) -> bool:
        if not self.is_gone:
            self.sent.append(event)
        return not self.is_gone

    def take(self, text: str, now: float = 0.0) -> None:
        self.desk.take(text, now, arrived_at=now)

    def hear(self, frames: int, now: float = 0.0) -> None:
        for _ in range(frames):
            self.playout.receive(LOUD, now)


@pytest.mark.parametrize(
    ("profile", "obeyed", "others", "ignored"),
    [("video", 3, 0, 0), ("wsbridge", 0, 0, 3), ("voice", 1, 2, 0)],
)
def test_which_clear_a_router_obeys(profile: str, obeyed: int, others: int, ignored: int) -> None:
    desk = Desk(profile)
    for text in CLEAR_FORMS.values():
        desk.take(text)
    assert (desk.tally.clears, len(desk.tally.other_texts), desk.tally.texts_ignored) == (
        obeyed,
        others,
        ignored,
    )
    assert desk.sent == [Cleared()] * obeyed
    if profile == "wsbridge":
        assert desk.notes == [("server", "text ignored", text) for text in CLEAR_FORMS.values()]


def test_of_large_notifies_fewer_wait() -> None:
    desk = Desk("voice")
    desk.hear(2)
    for number in range(10):
        desk.take(f'{{"action":"notify","payload":[{number},"{"x" * 300_000}"]}}')
    desk.desk.answer(0.05)
    payloads = [str(event.payload)[:2] for event in desk.sent if isinstance(event, Notified)]
    assert payloads == ["[7", "[8", "[9"]
    assert not desk.desk.is_waiting
    assert desk.tally.notifies == 10


def test_what_a_clear_forgets_counts_no_more() -> None:
    desk = Desk("voice")
    big = f'{{"action":"notify","payload":"{"x" * 300_000}"}}'
    for text in [big, big, big, CLEAR, big, big, big]:
        desk.hear(2)
        desk.take(text)
    desk.desk.answer(1.0)
    assert sum(isinstance(event, Notified) for event in desk.sent) == 3


def test_a_clear_says_how_much_it_dropped() -> None:
    desk = Desk()
    desk.hear(10)
    desk.take(CLEAR, 0.03)
    assert desk.notes == [("server", "clear", "action, 160 ms dropped"), ("router", "cleared", "")]
    assert desk.observer.all_barge_ins()[0].dropped_ms == 160
    assert desk.playout.buffered_ms == 0


@pytest.mark.parametrize(
    ("clear_ack", "at"), [("prompt", 0.0), (0, 0.0), (500, 0.5), (0.5, 0.0005), ("missing", None)]
)
def test_a_clear_is_acknowledged_promptly_late_or_never(clear_ack: Any, at: float | None) -> None:
    desk = Desk(clear_ack=clear_ack)
    desk.take(CLEAR)
    assert desk.sent == ([Cleared()] if at == 0.0 else [])
    if at:
        assert desk.desk.is_waiting
        desk.desk.answer(at - 1e-6)
        assert desk.sent == []
        desk.desk.answer(at)
        assert desk.sent == [Cleared()]
    assert not desk.desk.is_waiting
    desk.desk.answer(1e6)
    assert len(desk.sent) == (0 if at is None else 1)


def test_a_router_that_ignores_clear_goes_on_playing() -> None:
    desk = Desk(obeys_clear=False)
    desk.hear(10)
    desk.take(CLEAR)
    assert (desk.playout.buffered_ms, desk.sent, desk.tally.clears) == (180, [], 1)
    assert desk.notes == [("server", "clear ignored", "action")]
    assert desk.observer.all_barge_ins() == ()


def test_a_notify_waits_for_the_audio_before_it() -> None:
    desk = Desk("voice")
    desk.hear(2)
    desk.take(NOTIFY)
    desk.hear(2)
    desk.take('{"action":"notify"}')
    for now, payloads in ((0.039, []), (0.04, [7]), (0.079, [7]), (0.08, [7, None])):
        desk.desk.answer(now)
        assert desk.sent == [Notified(payload=payload) for payload in payloads]
    assert not desk.desk.is_waiting


def test_what_a_clear_drops_answers_no_notify() -> None:
    desk = Desk("voice")
    desk.hear(5)
    desk.take(NOTIFY)
    desk.take(CLEAR)
    desk.desk.answer(10.0)
    assert desk.sent == [Cleared()]


def test_a_router_that_knows_no_notify_counts_it() -> None:
    desk = Desk("video")
    desk.take(NOTIFY)
    desk.desk.answer(10.0)
    assert (desk.tally.notifies, desk.sent, desk.desk.is_waiting) == (1, [], False)
    assert desk.tally.other_texts == []


def test_what_could_not_be_sent_is_not_noted() -> None:
    desk = Desk()
    desk.is_gone = True
    desk.take(CLEAR)
    assert [name for _, name, _ in desk.notes] == ["clear"]


def test_a_new_connection_answers_nothing_of_the_old_one() -> None:
    desk = Desk("voice", clear_ack=100)
    desk.take(CLEAR)
    desk.take(NOTIFY)
    desk.desk.forget()
    desk.desk.answer(10.0)
    assert desk.sent == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "{}",
        "[]",
        "null",
        '{"action":["clear"]}',
        '{"event":"websocket:clear"}',
        "9" * 5000,
        "[" * 9999,
    ],
)
def test_any_other_text_is_kept_and_harmless(text: str) -> None:
    desk = Desk()
    desk.take(text)
    assert desk.tally.other_texts == [text[:200]]
    assert desk.sent == []


def test_a_storm_of_notifies_is_answered_by_its_last_thousand() -> None:
    desk = Desk("voice")
    desk.hear(2)
    for number in range(5000):
        desk.take(f'{{"action":"notify","payload":{number}}}')
    desk.desk.answer(1.0)
    assert desk.tally.notifies == 5000
    assert [event.payload for event in desk.sent if isinstance(event, Notified)] == list(
        range(5000 - 1024, 5000)
    )
