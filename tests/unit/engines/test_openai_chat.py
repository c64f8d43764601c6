# SPDX-License-Identifier: Apache-2.0
"""What is its own; what all engines in clouds do alike is in base/test_remote."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cloud_engines import MESSAGES, answer, answerer
from support.clouds import Cloud, cloud_server

from audio_connector.engines import Answerer, EngineError, Message
from audio_connector.engines.openai_chat import OpenAIAnswerer
from audio_connector.errors import UsageError

pytestmark = pytest.mark.programs  # with the vendors' real clients, which take seconds to be loaded


@pytest.fixture
async def cloud() -> AsyncIterator[Cloud]:
    async with cloud_server() as cloud:
        yield cloud


async def test_the_conversation_is_sent_as_the_api_takes_it(cloud: Cloud) -> None:
    engine = answerer(cloud, options={"temperature": 0.3, "top_k": 4})
    assert isinstance(engine, Answerer)
    assert [word async for word in engine.answer(MESSAGES)] == ["Good ", "morning", ", caller."]
    assert cloud.asked[-1].body == {
        "model": "a-model",
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello."}],
        "stream": True,
        "temperature": 0.3,
        "top_k": 4,
    }
    await engine.close()


async def test_an_answer_without_its_end_is_an_error_after_what_came(cloud: Cloud) -> None:
    engine = answerer(cloud)
    cloud.finish_reason = None
    words = engine.answer(MESSAGES)
    assert [await anext(words) for _ in range(3)] == cloud.words
    with pytest.raises(EngineError, match="broke off in the middle of its answer; ask again"):
        await anext(words)
    await engine.close()


@pytest.mark.parametrize("body", ["<html>Log in</html>", {"choices": [{"message": {"content": "Hello"}}]}])
async def test_a_page_or_a_server_that_does_not_stream_is_no_answer_that_broke_off(
    cloud: Cloud, body: str | dict[str, object]
) -> None:
    engine = answerer(cloud)
    cloud.status, cloud.body = 203, body
    with pytest.raises(EngineError, match="answered with no stream of words; check base_url"):
        await answer(engine)
    await engine.close()


async def test_an_error_in_the_middle_of_the_stream_is_quoted(cloud: Cloud) -> None:
    engine = answerer(cloud)
    cloud.event = '{"error": {"message": "the model ran out of memory"}}'
    with pytest.raises(EngineError, match="the model ran out of memory"):
        await answer(engine)
    await engine.close()


async def test_wrong_calls_are_refused_without_a_request(cloud: Cloud) -> None:
    with pytest.raises(UsageError, match="got no model"):
        OpenAIAnswerer("")
    with pytest.raises(UsageError, match="got no messages"):
        await anext(answerer(cloud).answer([]))
    assert cloud.asked == []


async def test_the_address_may_come_from_the_environment(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{cloud.url}/v1/")
    engine = OpenAIAnswerer("a-model", api_key="x")
    assert await answer(engine) == "Good morning, caller."
    await engine.close()


@dataclass
class Line:
    """A server and an engine that serve many examples, in a loop of their own."""

    loop: asyncio.AbstractEventLoop
    cloud: Cloud
    engine: OpenAIAnswerer


@pytest.fixture(scope="module")
def line() -> Iterator[Line]:
    loop = asyncio.new_event_loop()
    serving = cloud_server()
    cloud = loop.run_until_complete(serving.__aenter__())
    engine = answerer(cloud)
    yield Line(loop, cloud, engine)
    loop.run_until_complete(engine.close())
    loop.run_until_complete(serving.__aexit__(None, None, None))
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


@given(
    words=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8), max_size=5),
    sizes=st.lists(st.integers(1, 90), max_size=30),
)
def test_the_words_do_not_depend_on_how_the_stream_is_cut(
    line: Line, words: list[str], sizes: list[int]
) -> None:
    line.cloud.words, line.cloud.sizes = words, sizes

    async def answer() -> list[str]:
        return [word async for word in line.engine.answer([Message("user", "Say it.")])]

    assert line.loop.run_until_complete(answer()) == words
