# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from support.talking import Speller, spelled

from audio_connector.audio.wav import read_wav
from audio_connector.errors import UsageError
from audio_connector.simulator import SayText, Talk
from audio_connector.simulator.talk.speaker import KEPT, LONGEST_S, Speaker


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


HELLO = SayText(text="hello")


async def test_what_was_spoken_is_kept_and_read_again(tmp_path: Path) -> None:
    speller = Speller()
    spoken = await Speaker(Talk(voices=speller, cache=tmp_path)).spoken(HELLO)
    assert spoken == (spelled("hello"), 16000)
    [path] = files(tmp_path)
    assert read_wav(path) == spoken
    assert await Speaker(Talk(voices=speller, cache=tmp_path)).spoken(HELLO) == spoken
    assert speller.said == ["hello"]


async def test_each_text_voice_and_language_is_another_one(tmp_path: Path) -> None:
    speaker = Speaker(Talk(voices=Speller(), cache=tmp_path))
    for text in (
        HELLO,
        SayText(text="Hello"),
        SayText(text="hello", voice="x"),
        SayText(text="hello", language="de"),
    ):
        await speaker.spoken(text)
        await speaker.spoken(text)
    assert len(files(tmp_path)) == 4


async def test_half_a_file_of_a_crash_is_made_anew(tmp_path: Path) -> None:
    speller = Speller()
    await Speaker(Talk(voices=speller, cache=tmp_path)).spoken(HELLO)
    [path] = files(tmp_path)
    path.write_bytes(b"RIFF")
    assert (await Speaker(Talk(voices=speller, cache=tmp_path)).spoken(HELLO))[0] == spelled("hello")
    assert len(speller.said) == 2


async def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    speaker = Speaker(Talk(voices=Speller(), cache=tmp_path / "file" / "cache"))
    assert (await speaker.spoken(HELLO))[0] == spelled("hello")


async def test_only_so_many_are_kept_in_memory() -> None:
    speller = Speller()
    speaker = Speaker(Talk(voices=speller))
    for number in range(KEPT + 1):
        await speaker.spoken(SayText(text=f"{number}"))
    await speaker.spoken(SayText(text=f"{KEPT}"))
    assert len(speller.said) == KEPT + 1
    await speaker.spoken(SayText(text="0"))
    assert len(speller.said) == KEPT + 2


@pytest.mark.parametrize(
    ("pcm", "told"),
    [
        (b"", r"the voice usual gave no sound for 'hello'; try another one or other words"),
        (bytes(32000), r"the voice usual gave no sound for 'hello'"),
        (b"\1\1" * 16000 * (LONGEST_S + 1), r"the voice usual speaks for more than 600 s on 'hello'"),
    ],
)
async def test_what_is_no_speech_is_refused_and_not_kept(tmp_path: Path, pcm: bytes, told: str) -> None:
    speaker = Speaker(Talk(voices=Speller(pcm=lambda text: pcm), cache=tmp_path))
    with pytest.raises(UsageError, match=told):
        await speaker.spoken(HELLO)
    assert files(tmp_path) == []


async def test_without_a_voice_it_says_what_is_needed() -> None:
    with pytest.raises(
        UsageError, match=r"'hello' is to be spoken, and there is no voice; expected a router with Talk"
    ):
        await Speaker(Talk()).spoken(HELLO)
