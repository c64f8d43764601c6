# SPDX-License-Identifier: Apache-2.0
"""What all engines in clouds do alike, each with its vendor's own client and over real connections."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest
from support.cloud_engines import (
    KEY_VARIABLES,
    MESSAGES,
    NAMES,
    OLD_WEBSOCKETS,
    PACKAGES,
    RATE_HZ,
    SYNTHESISERS,
    USES,
    WORDS,
    answer,
    answerer,
    recogniser,
    say,
    synthesiser,
)
from support.clouds import KEY, Cloud, cloud_server, speech_of, utterance_of

from audio_connector.engines import EngineError, EngineMissing
from audio_connector.errors import UsageError

pytestmark = [OLD_WEBSOCKETS, pytest.mark.programs]  # the real clients take seconds to be loaded

each_use = pytest.mark.parametrize("name", USES)
each_voice = pytest.mark.parametrize("vendor", SYNTHESISERS)


@pytest.fixture
async def cloud() -> AsyncIterator[Cloud]:
    async with cloud_server() as cloud:
        yield cloud


def made(name: str, cloud: Cloud, **settings: Any) -> tuple[Any, Callable[[Any], Any]]:
    """An engine, and how it is used."""
    vendor, make, use = USES[name]
    return make(vendor, cloud, **settings), use


async def fault_of(name: str, cloud: Cloud, **settings: Any) -> str:
    """The error of using it; whatever goes wrong, no request is left open, and the key is told to nobody."""
    engine, use = made(name, cloud, **settings)
    with pytest.raises(EngineError) as caught:
        await use(engine)
    await cloud.until_free()
    await engine.close()
    text = str(caught.value)
    assert text.startswith(f"{NAMES[USES[name][0]]} (")
    assert KEY not in "".join(traceback.format_exception(caught.value))
    return text


@each_use
async def test_a_refused_key_is_told_and_not_shown(name: str, cloud: Cloud) -> None:
    cloud.status, cloud.body = 401, {"error": {"message": f"Incorrect key: {KEY}."}}
    text = await fault_of(name, cloud)
    assert "refuses the key (401" in text
    assert text.endswith(f"check {KEY_VARIABLES[USES[name][0]]} or the argument api_key")


@each_use
async def test_the_time_to_try_again_is_told_and_not_waited_for(name: str, cloud: Cloud) -> None:
    cloud.status, cloud.headers = 429, {"Retry-After": "70"}
    text = await fault_of(name, cloud)
    assert "takes no more requests now (429" in text
    assert ("try again after 70 s" in text) == (name != "deepgram live")  # its client keeps that for itself
    assert len(cloud.asked) == 1


@each_use
async def test_a_failing_service_is_asked_once_and_quoted(name: str, cloud: Cloud) -> None:
    cloud.status, cloud.body = 503, "<html>no healthy upstream</html>"
    text = await fault_of(name, cloud)
    assert "failed (503" in text
    assert ("no healthy upstream" in text) == (not name.endswith("live"))  # nor do these the body
    assert len(cloud.asked) == 1


@each_use
async def test_a_service_that_is_silent_is_left(name: str, cloud: Cloud) -> None:
    cloud.stall_after = -1
    assert "for 0.1 s; try again, or raise timeout_s" in await fault_of(name, cloud, timeout_s=0.1)


@each_use
async def test_a_service_that_is_not_there_is_told(name: str, unused_tcp_port_url: str) -> None:
    cloud = Cloud(url=unused_tcp_port_url)
    assert "cannot be reached" in await fault_of(name, cloud)


@pytest.fixture
async def unused_tcp_port_url() -> str:
    async with cloud_server() as gone:
        return gone.url


@pytest.mark.parametrize("name", ["openai chat", "openai speech", "deepgram speech", "elevenlabs speech"])
async def test_a_stream_that_is_cut_in_the_middle_is_an_error(name: str, cloud: Cloud) -> None:
    cloud.sizes, cloud.cut_after = [300, 300], 2
    assert "broke off" in await fault_of(name, cloud)


@pytest.mark.parametrize("name", ["openai chat", "openai speech", "deepgram speech", "elevenlabs speech"])
async def test_a_stream_that_stops_in_the_middle_is_left(name: str, cloud: Cloud) -> None:
    cloud.sizes, cloud.stall_after = [300, 300], 2
    assert "gave nothing for 0.1 s" in await fault_of(name, cloud, timeout_s=0.1)


@pytest.mark.parametrize("name", ["deepgram live", "elevenlabs live"])
async def test_a_conversation_that_is_cut_is_an_error(name: str, cloud: Cloud) -> None:
    cloud.cut_after = 2
    text = await fault_of(name, cloud)
    assert "broke off" in text or "closed the connection" in text


@pytest.mark.parametrize("name", ["deepgram live", "elevenlabs live"])
async def test_a_conversation_that_is_closed_says_why(name: str, cloud: Cloud) -> None:
    cloud.cut_after, cloud.close_code, cloud.close_reason = 1, 1011, "NET-0001"
    assert "closed the connection: '1011 NET-0001'; try again" in await fault_of(name, cloud)


@pytest.mark.parametrize("name", ["openai speech", "deepgram speech", "elevenlabs speech"])
async def test_a_page_in_place_of_audio_is_refused(name: str, cloud: Cloud) -> None:
    cloud.speech = lambda _: b"<!DOCTYPE html><html><body>Welcome to nginx!</body></html>"
    assert "got HTML" in await fault_of(name, cloud)


@pytest.mark.parametrize("name", ["openai speech", "deepgram speech", "elevenlabs speech"])
async def test_audio_that_ends_in_half_a_sample_is_an_error(name: str, cloud: Cloud) -> None:
    cloud.speech = lambda _: b"\1" * 5001
    assert "odd number of bytes" in await fault_of(name, cloud)


@each_use
async def test_an_engine_works_after_a_failure(name: str, cloud: Cloud) -> None:
    engine, use = made(name, cloud)
    cloud.status = 500
    with pytest.raises(EngineError):
        await use(engine)
    cloud.status = 200
    assert await use(engine)
    await engine.close()


@each_use
async def test_no_log_has_the_key(name: str, cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    engine, use = made(name, cloud)
    with caplog.at_level(logging.DEBUG):
        await use(engine)
    assert any(KEY in value for value in cloud.asked[-1].headers.values())
    assert KEY not in caplog.text
    assert KEY not in repr(engine)
    assert KEY not in repr(vars(engine))
    await engine.close()


@each_voice
@pytest.mark.parametrize("sizes", [[], [1] * 50, [1501, 1, 2, 3, 999], [4096] * 8])
async def test_audio_is_whole_samples_however_it_is_cut(vendor: str, sizes: list[int], cloud: Cloud) -> None:
    cloud.sizes = sizes
    engine = synthesiser(vendor, cloud)
    pieces = [piece async for piece in engine.say("Grüße")]
    assert b"".join(pieces) == speech_of("Grüße")
    assert all(pieces)
    assert not any(len(piece) % 2 for piece in pieces)
    await engine.close()


@each_voice
async def test_the_first_audio_does_not_wait_for_the_rest(vendor: str, cloud: Cloud) -> None:
    cloud.sizes, cloud.stall_after = [4000], 1
    engine = synthesiser(vendor, cloud)
    async with aclosing(engine.say("Hello, caller.")) as pieces:
        assert len(await anext(pieces)) >= 900
    await cloud.until_free()
    await engine.close()


@each_voice
async def test_spaces_are_said_without_a_request(vendor: str, cloud: Cloud) -> None:
    assert await say(synthesiser(vendor, cloud), " \n") == b""  # nor a client, so that there is none to close
    assert cloud.asked == []


@each_voice
async def test_twenty_at_once_are_kept_apart(vendor: str, cloud: Cloud) -> None:
    engine = synthesiser(vendor, cloud)
    cloud.sizes, cloud.gate = [1001] * 6, asyncio.Event()
    texts = [f"caller {number:02}" for number in range(20)]
    saying = asyncio.gather(*(say(engine, text) for text in texts))
    await cloud.until_open(20)
    cloud.gate.set()
    assert await saying == [speech_of(text) for text in texts]
    await engine.close()


@each_use
async def test_who_is_cancelled_leaves_no_request_and_no_task(name: str, cloud: Cloud) -> None:
    engine, use = made(name, cloud)
    await use(engine)
    before = asyncio.all_tasks()
    cloud.stall_after = -1
    task = asyncio.ensure_future(use(engine))
    await cloud.until_open()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await cloud.until_free()
    await asyncio.sleep(0.01)  # what closes a connection takes some rounds of the loop
    assert {each for each in asyncio.all_tasks() - before if "aiohttp" not in repr(each)} == set()
    cloud.stall_after = None
    assert await use(engine)
    await engine.close()


async def test_an_answer_that_nobody_wants_any_more_is_not_generated(cloud: Cloud) -> None:
    engine = answerer(cloud)
    cloud.stall_after = 3
    async with aclosing(engine.answer(MESSAGES)) as words:
        assert await anext(words) == "Good "
        assert cloud.open == 1
    await cloud.until_free()
    cloud.stall_after = None
    assert await answer(engine) == "Good morning, caller."
    await engine.close()


# Not those of live utterances: each has a connection of its own, which its block ends.
@pytest.mark.parametrize("name", [name for name in USES if not name.endswith("live")])
async def test_closing_the_engine_ends_what_it_does(name: str, cloud: Cloud) -> None:
    engine, use = made(name, cloud)
    cloud.stall_after = -1
    task = asyncio.ensure_future(use(engine))
    await cloud.until_open()
    await engine.close()
    await engine.close()
    with pytest.raises(EngineError, match="closed meanwhile"):
        await task
    await cloud.until_free()
    with pytest.raises(UsageError, match="is closed; make another one"):
        await use(engine)


@pytest.mark.parametrize("vendor", SYNTHESISERS)
async def test_the_key_may_come_from_the_environment(
    vendor: str, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLES[vendor], "from-the-environment")
    engine = synthesiser(vendor, cloud, api_key=None)
    await say(engine)
    assert any("from-the-environment" in value for value in cloud.asked[-1].headers.values())
    await engine.close()


@pytest.mark.parametrize("vendor", SYNTHESISERS)
async def test_a_missing_key_is_told_with_what_mends_it(vendor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLES[vendor], raising=False)
    engine = SYNTHESISERS[vendor]()
    for call in (engine.warm(), say(engine)):
        with pytest.raises(
            EngineMissing, match=f"needs a key.*mend it with: export {KEY_VARIABLES[vendor]}="
        ) as caught:
            await call
        assert caught.value.mend == f"export {KEY_VARIABLES[vendor]}=..."


@pytest.mark.parametrize("vendor", SYNTHESISERS)
async def test_a_server_of_ones_own_needs_no_key(
    vendor: str, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KEY_VARIABLES[vendor], raising=False)
    engine = synthesiser(vendor, cloud, api_key=None)
    assert await say(engine)
    await engine.close()


@pytest.mark.parametrize("vendor", SYNTHESISERS)
async def test_a_missing_package_is_told_with_what_mends_it(
    vendor: str, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, PACKAGES[vendor], None)
    with pytest.raises(EngineMissing, match=f"mend it with: pip install 'audio-connector.{vendor}.'"):
        await synthesiser(vendor, cloud).warm()


@pytest.mark.parametrize(
    "settings",
    [{"base_url": "localhost:8000"}, {"base_url": "http://"}, {"base_url": "http://a:b"}, {"timeout_s": 0}],
)
def test_wrong_settings_are_refused_at_once(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"got {next(iter(settings))}=.*expected"):
        SYNTHESISERS["openai"](**settings)


def test_the_address_is_shown_without_what_may_be_secret() -> None:
    engine = SYNTHESISERS["openai"](base_url="http://me:word@host:1/v1?token=x")
    assert repr(engine) == "<OpenAISynthesiser 'gpt-4o-mini-tts, alloy' at http://host:1/v1>"


async def test_one_engine_is_for_one_loop(cloud: Cloud) -> None:
    engine = synthesiser("openai", cloud)
    await engine.warm()
    with pytest.raises(UsageError, match="make one for each loop"):
        await asyncio.to_thread(asyncio.run, engine.warm())
    await engine.close()


async def test_many_first_uses_make_one_client(cloud: Cloud) -> None:
    engine = synthesiser("openai", cloud)
    clients = await asyncio.gather(*(engine._ready() for _ in range(10)))
    assert len(set(map(id, clients))) == 1
    await engine.close()


async def test_an_engine_that_is_closed_while_it_warms_up_is_closed(cloud: Cloud) -> None:
    engine = synthesiser("openai", cloud)
    warming = asyncio.ensure_future(engine.warm())
    await asyncio.sleep(0)
    await engine.close()
    with pytest.raises(UsageError, match="is closed"):
        await warming


async def test_a_word_that_is_no_key_is_not_masked(cloud: Cloud) -> None:
    engine = synthesiser("openai", cloud, api_key="no", base_url=f"{cloud.url}/v1/nowhere")
    with pytest.raises(EngineError, match="has nothing of that name"):
        await say(engine)
    await engine.close()


async def test_what_is_heard_of_an_abandoned_utterance_is_not_in_the_next(cloud: Cloud) -> None:
    for vendor in SYNTHESISERS:
        engine = recogniser(vendor, cloud)
        async with engine.hear(sample_rate=RATE_HZ) as hearing:
            await hearing.write(utterance_of(*WORDS))
        async with engine.hear(sample_rate=RATE_HZ) as hearing:
            await hearing.write(utterance_of(8, 9))
            assert (await hearing.finish()).text == "w8 w9"
        await engine.close()


LOADED = """
import sys
import audio_connector.engines
import audio_connector.engines.{module}
print([name for name in {packages} if name in sys.modules])
"""


@pytest.mark.programs
@pytest.mark.parametrize(
    "module", ["openai_chat", "openai_speech", "openai_transcription", "deepgram", "elevenlabs"]
)
def test_importing_an_adapter_loads_no_client(module: str) -> None:
    packages = ["openai", "deepgram", "elevenlabs", "httpx", "anyio", "websockets"]
    program = LOADED.format(module=module, packages=packages)
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout.strip() == "[]"
