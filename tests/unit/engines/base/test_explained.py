# SPDX-License-Identifier: Apache-2.0
"""Exceptions that only look like those of the clients; the real ones are in test_remote."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from audio_connector.engines.base.explained import SAID_CHARS, chain_of, explained, has_secret

NOT_UNDERSTOOD = "check base_url, and whether the client's version is one that the extra allows"


class Failed(Exception):
    def __init__(self, text: str = "", **fields: Any) -> None:
        super().__init__(text)
        self.__dict__.update(fields)


class ReadTimeout(Failed):
    pass


class RemoteProtocolError(Failed):
    pass


class ConnectError(Failed):
    pass


def says(error: BaseException) -> str:
    happened, remedy = explained(error, key_name="THE_KEY", timeout_s=10)
    return f"{happened}; {remedy}"


def caused(outer: BaseException, inner: BaseException) -> BaseException:
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Failed(status_code=308), "is somewhere else (308); check base_url"),
        (Failed(status_code=401), "refuses the key (401); check THE_KEY"),
        (Failed(status_code=402, body="empty"),
         "refuses to work without payment (402: 'empty'); look into the account"),
        (Failed(status_code=404, body={"detail": {"message": "no voice"}}),
         "has nothing of that name (404: 'no voice'); check model, voice and base_url"),
        (Failed(status_code=429, headers={"Retry-After": "7"}),
         "takes no more requests now (429); try again after 7 s, or raise the limits of the account"),
        (Failed(status_code=429, headers={"retry-after": "Sun, 29 Nov 2026 08:00:00 GMT"}),
         "takes no more requests now (429); try again later, or raise the limits of the account"),
        (Failed(response=SimpleNamespace(status_code=429, headers={"retry-after": "0.5"})),
         "takes no more requests now (429); try again after 0.5 s, or raise the limits of the account"),
        (Failed(status_code=422, body={"detail": [{"msg": "too long"}, {"msg": "too loud"}]}),
         "refuses the request (422: 'too long; too loud'); check the settings"),
        (Failed(status_code=400, body={"err_code": "X", "err_msg": "bad rate"}),
         "refuses the request (400: 'bad rate'); check the settings"),
        (Failed(status_code=400, body={"odd": 1}), "refuses the request (400: \"{'odd': 1}\"); check the settings"),
        (Failed(status_code=503, body="<h1>\n Bad   Gateway</h1>"),
         "failed (503: '<h1> Bad Gateway</h1>'); try again"),
        (ReadTimeout("x"), "gave nothing for 10 s; try again, or raise timeout_s"),
        (TimeoutError(), "gave nothing for 10 s; try again, or raise timeout_s"),
        (caused(Failed("Connection error."), ConnectError("refused")),
         "cannot be reached: 'refused'; check the network and base_url"),
        (ConnectionRefusedError(111, "Connection refused"),
         "cannot be reached: 'Connection refused'; check the network and base_url"),
        (caused(Failed("Connection error."), RemoteProtocolError("incomplete chunked read")),
         "broke off: 'incomplete chunked read'; try again"),
        (ConnectionResetError(104, "Connection reset by peer"), "broke off: 'Connection reset by peer'; try again"),
        (Failed(rcvd=SimpleNamespace(code=1011, reason="NET-0001")),
         "closed the connection: '1011 NET-0001'; try again"),
        (OSError("Multiple exceptions: [Errno 111] a, [Errno 111] b"),
         "cannot be reached: 'Multiple exceptions: [Errno 111] a, [Errno 111] b'; check the network and base_url"),
        (KeyError("x"), f"answered what is not understood (KeyError: {chr(34)}'x'{chr(34)}); {NOT_UNDERSTOOD}"),
    ],
)  # fmt: skip
def test_what_happened_and_what_to_do(error: BaseException, text: str) -> None:
    assert says(error) == text


def test_a_service_cannot_write_into_a_terminal_nor_fill_a_log() -> None:
    text = says(Failed(status_code=500, body="\x1b[31m" + "long " * 1000))
    assert text.isprintable()
    assert len(text) < SAID_CHARS + 60


def test_a_secret_is_found_wherever_a_traceback_would_show_it() -> None:
    inner = Failed("Incorrect key sk-1234")
    outer = Failed("outer")
    outer.__context__ = inner
    inner.__context__ = outer  # a circle is looked at once
    assert [*chain_of(outer)] == [outer, inner]
    assert has_secret(outer, "sk-1234")
    assert not has_secret(outer, "sk-other")
    assert not has_secret(outer, "")
