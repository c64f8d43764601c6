# SPDX-License-Identifier: Apache-2.0
"""What crosses to an I/O process: the configuration, who judges those who dial, and in which module."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from audio_connector import Timeouts
from audio_connector.auth import SignedToken, UpgradeRequest, VonageSignature
from audio_connector.server import children
from audio_connector.server.authentication import Verifier, ask_application
from audio_connector.server.config import AudioConnectorServerConfig

KEY = "a-key-of-a-test-that-is-long-enough"
KNOWN: dict[str, Callable[..., Verifier]] = {
    "SignedToken": SignedToken.crossed,
    "VonageSignature": VonageSignature.crossed,
}
VERIFIERS = [
    SignedToken([KEY, b"\x00\xff" * 16], "query:t", one_time=True),
    VonageSignature(KEY, max_age_s=5),
]


def config_with(authenticate: Any) -> AudioConnectorServerConfig:
    return AudioConnectorServerConfig(
        host="h", port=5, authenticate=authenticate, timeouts=Timeouts(authenticate_s=2.0)
    )


@pytest.mark.parametrize("verifier", VERIFIERS, ids=repr)
def test_a_verifier_arrives_as_it_was(verifier: SignedToken | VonageSignature) -> None:
    arrived = children.from_crossing(children.crossing_of(config_with(verifier)), KNOWN)
    assert arrived.authenticate == verifier
    assert (arrived.host, arrived.port, arrived.timeouts.authenticate_s) == ("h", 5, 2.0)


def test_of_a_function_arrives_that_the_application_is_asked() -> None:
    def mine(_: UpgradeRequest) -> None: ...

    assert children.from_crossing(children.crossing_of(config_with(mine)), {}).authenticate is ask_application
    assert children.from_crossing(children.crossing_of(config_with(None)), {}).authenticate is None


def test_an_unknown_kind_starts_nothing_that_lets_everybody_in() -> None:
    with pytest.raises(KeyError):
        children.from_crossing(children.crossing_of(config_with(VERIFIERS[0])), {})


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The modules of processes, none of which is started."""
    modules: list[str] = []

    def start(module: str, arguments: Sequence[object], descriptors: Sequence[int]) -> None:
        modules.append(module)

    monkeypatch.setattr(children, "start", start)
    return modules


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such processes")
def test_the_process_is_of_the_module_that_knows_the_verifier(started: list[str]) -> None:
    for authenticate in (None, lambda request: request.path, *VERIFIERS):
        made = children.IoChildProcess(children.crossing_of(config_with(authenticate)), [])
        made.sock.close()
    plain, known = "audio_connector.server.io_child", "audio_connector.auth.io_child"
    assert started == [plain, plain, known, known]


def test_no_argument_of_a_process_has_a_key(started: list[str]) -> None:
    crossing = children.crossing_of(config_with(VERIFIERS[0]))
    word = children.start_word(crossing, [], serial=1)
    assert KEY in word.config  # which is sent over the stream
    assert json.loads(word.config)["authenticate"]["kind"] == "SignedToken"
    children.IoChildProcess(crossing, []).sock.close()
    assert KEY not in repr(started)
