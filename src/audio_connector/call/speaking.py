# SPDX-License-Identifier: Apache-2.0
"""What the application asks of the playback alone, handed to the queue: nothing else of the call changes by it."""

from __future__ import annotations

from audio_connector.call import asks
from audio_connector.playback.background import Background
from audio_connector.playback.queue import PlaybackQueue
from audio_connector.playback.speech import Answered


def ask_queue(queue: PlaybackQueue, ask: asks.Ask, now: float) -> bool:
    """Do what is asked; False where that is not of this kind."""
    match ask:
        case asks.StandInLine(lane, token, is_end, behind):
            queue.ask(lane, token, now, is_end=is_end, behind=behind)
        case asks.WriteGranted(token, pcm, rate_hz, has_more):
            queue.write_granted(token, pcm, rate_hz, now, has_more=has_more)
        case asks.BeginSpeech(lane):
            queue.begin(lane, now)
        case asks.EndSpeech(lane):
            queue.end(lane, now)
        case asks.WaitPlayed(token, inside, to_end):
            queue.wait(token, now, inside=inside, to_end=to_end)
        case asks.SetLead(lead_s):
            queue.schedule.set_lead(lead_s)
        case asks.AddBackground() | asks.SetBackground() | asks.StopBackground():
            _ask_background(queue, ask)
        case _:
            return False
    return True


def _ask_background(
    queue: PlaybackQueue, ask: asks.AddBackground | asks.SetBackground | asks.StopBackground
) -> None:
    beside = queue.beside
    match ask:
        case asks.AddBackground(number, token, pcm, rate_hz, volume, duck, is_last):
            beside.add(Background(number, rate_hz, volume=volume, duck=duck), pcm, is_last=is_last)
            queue.events.append(Answered(token, True))
        case asks.SetBackground(number, volume, duck):
            beside.change(number, volume, duck)
        case asks.StopBackground(number, token, fade_s):
            beside.stop(number, fade_s, token)
    queue.take_answers()
