# SPDX-License-Identifier: Apache-2.0
"""What should come of the meeting of scenario.yaml."""

from __future__ import annotations

from datetime import timedelta

from audio_connector.live.demo import Outcome
from notes.app import Notes
from notes.minutes import clock
from notes.session import Session


def outcome(app: Notes) -> Outcome:
    """Look for the decision, and for the action items with their owners and dates."""
    if not app.taken:
        return Outcome(problems=["got no session; expected one"])
    taken = app.taken[-1]
    lines = [f"{clock(line.start_s):>5}  {line.speaker}: {line.text}" for line in taken.said]
    lines += [f"decided: {each.text}" for each in taken.minutes.decisions]
    lines += [f"to do: {each.owner}: {each.task} {each.due}" for each in taken.minutes.actions]
    return Outcome(lines, sorted(taken.folder.iterdir()), list(_problems(taken)))


def _problems(taken: Session) -> list[str]:
    found = taken.minutes
    problems = []
    if [each for each in found.decisions if "blue" in each.text.lower()] != list(found.decisions[:1]):
        problems.append(
            f"got {[each.text for each in found.decisions]} as decisions; expected the blue design alone"
        )
    tomorrow = taken.began.date() + timedelta(days=1)
    by_owner = {each.owner: each for each in found.actions}
    call = next((each for each in found.actions if "print" in each.task.lower()), None)
    if call is None or call.owner != "Bob" or call.due_on is None or call.due_on.weekday() != 4:
        problems.append(f"got {call} for the printer; expected Bob to call before Friday")
    send = next((each for each in found.actions if "list" in each.task.lower()), None)
    if send is None or send.owner != "Bob" or send.due_on != tomorrow:
        problems.append(f"got {send} for the price list; expected Bob to send it tomorrow")
    if set(by_owner) - {"Bob"}:
        problems.append(f"got action items of {', '.join(map(str, by_owner))}; expected Bob's alone")
    return problems
