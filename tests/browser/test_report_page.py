# SPDX-License-Identifier: Apache-2.0
"""The report's page in a real browser, opened from disk: what one sees is measured, not only that it is there."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
from browser.report_picture import page_of, run_scenario
from PIL import Image, ImageColor
from playwright.sync_api import Browser, Locator, Page, sync_playwright
from support.browser import ARGUMENTS, find_chromium
from support.reports import (
    BARGE_IN,
    CLEAN,
    DURATION_S,
    HEARD,
    HOLE,
    SPOKEN,
    TURNS,
    UNREACHED,
    Utterance,
    busy_report,
    long_report,
    many_reports,
)

from audio_connector.audio.wav import WavWriter
from audio_connector.simulator.page import render_page, render_recorded
from audio_connector.simulator.recorded import RecordingReader
from audio_connector.simulator.report import CallReport
from audio_connector.simulator.trace import TraceEvent

pytestmark = pytest.mark.browser

Scheme = Literal["light", "dark"]
COLOURS: dict[Scheme, tuple[str, str]] = {"light": ("#2c66c4", "#b8560f"), "dark": ("#78aefc", "#f2a65e")}
SCREENS = [(width, scheme) for width in (1440, 360) for scheme in COLOURS]


@pytest.fixture(scope="module")
def real_reports() -> list[CallReport]:
    return run_scenario()


@pytest.fixture(scope="module")
def browser(real_reports: list[CallReport]) -> Iterator[Browser]:
    """One browser for all tests; the call is made before, because Playwright's loop occupies the thread."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(ARGUMENTS))
        yield browser
        browser.close()


@dataclass
class Screen:
    """A page on a screen, and whatever it said or asked for."""

    page: Page
    path: Path
    noises: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.path.as_uri()

    def shoot(self, name: str) -> Path:
        """A picture of the whole page, to be looked at."""
        path = self.path.with_name(f"{name}.png")
        self.page.screenshot(path=path, full_page=True)
        return path


@dataclass
class Opener:
    """Opens reports from disk."""

    browser: Browser
    folder: Path
    screens: list[Screen] = field(default_factory=list)

    def __call__(
        self, reports: Sequence[CallReport], width: int = 1440, scheme: Scheme = "light", **texts: Any
    ) -> Screen:
        return self.show(render_page(reports, title="A call to the parrot", **texts), width, scheme)

    def show(self, text: str, width: int = 1440, scheme: Scheme = "light") -> Screen:
        path = self.folder / f"report-{len(self.screens)}.html"
        path.write_text(text, encoding="utf-8")
        context = self.browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        screen = Screen(context.new_page(), path)
        screen.page.on("console", lambda message: screen.noises.append(message.text))
        screen.page.on("pageerror", lambda error: screen.noises.append(str(error)))
        screen.page.on("dialog", lambda dialog: screen.noises.append(dialog.message))
        screen.page.on("request", lambda request: screen.requests.append(request.url))
        screen.page.goto(screen.url)
        self.screens.append(screen)
        return screen


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Opener]:
    """Opens a page; at the end none of them may have said anything or asked for anything but itself."""
    opener = Opener(browser, tmp_path)
    yield opener
    for screen in opener.screens:
        screen.page.context.close()
        assert screen.noises == []
        assert {url.partition("#")[0] for url in screen.requests} == {screen.url}


def box_of(element: Locator) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what is drawn, in pixels of the page."""
    found = element.evaluate(
        "e => { const b = e.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom] }"
    )
    left, top, right, bottom = found
    return left, top, right, bottom


def shown_boxes(page: Page, selector: str) -> list[tuple[str, tuple[float, float, float, float]]]:
    """Text and box of every element that is shown."""
    found = page.evaluate(
        """selector => [...document.querySelectorAll(selector)].map(e => [e.textContent, e.getBoundingClientRect()])
            .filter(([_, b]) => b.width > 0).map(([text, b]) => [text, [b.left, b.top, b.right, b.bottom]])""",
        selector,
    )
    return [(text, tuple(box)) for text, box in found]


def overlaps(boxes: Sequence[tuple[str, tuple[float, float, float, float]]]) -> list[tuple[str, str]]:
    return [
        (here, there)
        for (here, a), (there, b) in itertools.combinations(boxes, 2)
        if a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
    ]


@dataclass
class Ruler:
    """Seconds of the picture's time axis, measured in pixels of the page."""

    page: Page
    duration_s: float = DURATION_S

    def __post_init__(self) -> None:
        self.left, _, self.right, _ = box_of(self.page.locator(".rows"))

    def x(self, at_s: float) -> float:
        return self.left + at_s / self.duration_s * (self.right - self.left)

    @property
    def second(self) -> float:
        return (self.right - self.left) / self.duration_s


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_a_page_fits_its_screen_and_its_texts_do_not_overlap(
    opened: Opener, width: int, scheme: Scheme
) -> None:
    for name, reports in (
        ("busy", [busy_report()]),
        ("long", [long_report()]),
        ("mixed", [busy_report(), CLEAN, UNREACHED]),
        ("many", many_reports(25)),
    ):
        screen = opened(reports, width, scheme)
        page = screen.page
        for summary in page.locator("summary").all():
            if name != "many" and summary.is_visible() and summary.evaluate("e => !e.parentElement.open"):
                summary.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for picture in page.locator(".picture").all()[:2]:
            picture.evaluate("e => e.id = 'measured'")
            assert overlaps(shown_boxes(page, "#measured .names text")) == []
            ticks = shown_boxes(page, "#measured .ticks text")
            assert len(ticks) >= 2
            assert overlaps(ticks) == []
            assert overlaps(shown_boxes(page, "#measured .label")) == []
            picture.evaluate("e => e.id = ''")
        screen.shoot(f"{name}-{width}-{scheme}")


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_the_outlines_stand_at_their_seconds(opened: Opener, width: int, scheme: Scheme) -> None:
    page = opened([busy_report()], width, scheme).page
    ruler = Ruler(page)
    for kind, utterances in (("spoken", SPOKEN), ("heard", HEARD)):
        left, _, right, _ = box_of(page.locator(f"path.{kind}"))
        assert left == pytest.approx(ruler.x(utterances[0].begin_s), abs=1.5)
        assert right == pytest.approx(ruler.x(utterances[-1].end_s), abs=1.5)
    left, top, right, bottom = box_of(page.locator("path.depth"))
    assert (left, right) == pytest.approx((ruler.left, ruler.right), abs=1.5)
    assert bottom - top == pytest.approx(
        72 * 5040 / 6000, abs=1
    )  # the axis ends at 6 s, 72 px above its beginning


@pytest.mark.parametrize("scheme", list(COLOURS))
def test_what_is_painted_is_the_sound(opened: Opener, scheme: Scheme) -> None:
    """The pixels themselves: colour where somebody is heard, and none where nobody is."""
    page = opened([busy_report()], 1440, scheme).page
    # Taking its picture would scroll to it, and everything would stand elsewhere than it was measured.
    page.locator(".rows").scroll_into_view_if_needed()
    ruler = Ruler(page)
    _, top, _, _ = box_of(page.locator(".rows"))
    image = Image.open(io.BytesIO(page.locator(".rows").screenshot())).convert("RGB")
    pixels = np.asarray(image, np.int16)
    for kind, colour, utterances in zip(("spoken", "heard"), COLOURS[scheme], (SPOKEN, HEARD), strict=True):
        _, lane_top, _, lane_bottom = box_of(page.locator(f"path.{kind}"))
        lane = pixels[round(lane_top - top) + 1 : round(lane_bottom - top) - 1]
        painted = columns_of(lane, colour)
        seconds = (np.flatnonzero(painted) + 0.5) / ruler.second
        assert len(seconds) > 100
        for at_s in seconds:
            assert any(each.begin_s - 0.1 <= at_s <= each.end_s + 0.1 for each in utterances), (kind, at_s)
        for utterance in utterances:
            assert share_painted(painted, utterance, ruler) > 0.7
    _, lane_top, _, lane_bottom = box_of(page.locator("path.heard"))
    lane = pixels[round(lane_top - top) : round(lane_bottom - top)]
    assert share_painted(columns_of(lane, COLOURS[scheme][1]), HOLE, ruler) < 0.3


def columns_of(lane: npt.NDArray[np.int16], colour: str) -> npt.NDArray[np.bool_]:
    """Which columns have this colour somewhere beside the middle, where the line of silence is."""
    near = np.abs(lane - np.array(ImageColor.getrgb(colour), np.int16)).sum(axis=2) < 40
    middle = len(lane) // 2
    near[middle - 1 : middle + 2] = False
    painted: npt.NDArray[np.bool_] = near.any(axis=0)
    return painted


def share_painted(painted: npt.NDArray[np.bool_], stretch: Utterance, ruler: Ruler) -> float:
    begin, end = (round(at_s * ruler.second) for at_s in (stretch.begin_s, stretch.end_s))
    return float(painted[begin + 1 : end - 1].mean())


@pytest.mark.parametrize("width", [1440, 360])
def test_marks_stand_at_their_times(opened: Opener, width: int) -> None:
    page = opened([busy_report()], width).page
    ruler = Ruler(page)
    clear_s, silent_s, speech_s = BARGE_IN.clear_at_s, BARGE_IN.silent_at_s, BARGE_IN.speech_at_s
    assert clear_s is not None
    assert silent_s is not None
    assert speech_s is not None
    left, _, right, _ = box_of(page.locator(".barge-in .across"))
    assert (left + right) / 2 == pytest.approx(ruler.x(clear_s), abs=1)
    left, top, right, bottom = box_of(page.locator(".barge-in .band"))
    assert (left, right) == pytest.approx((ruler.x(speech_s), ruler.x(silent_s)), abs=1)
    assert top <= box_of(page.locator("path.spoken"))[1]
    assert bottom >= box_of(page.locator("path.heard"))[3]
    for bar, turn in zip(page.locator(".answer .bar").all(), TURNS, strict=True):
        left, _, right, _ = box_of(bar)
        assert (left, right) == pytest.approx((ruler.x(turn.speech_end_s), ruler.x(turn.reply_at_s)), abs=1)
    left, top, right, bottom = box_of(page.locator(".fault .band").nth(1))
    assert (left, right) == pytest.approx((ruler.x(HOLE.begin_s), ruler.x(HOLE.end_s)), abs=1)
    assert bottom == pytest.approx(box_of(page.locator("path.depth"))[3], abs=1.5)
    for text, (left, _, right, _) in shown_boxes(page, ".ticks text"):
        assert (left + right) / 2 == pytest.approx(ruler.x(float(text.removesuffix(" s"))), abs=1)


def test_a_real_call_is_drawn_as_it_was(opened: Opener, real_reports: list[CallReport]) -> None:
    screen = opened.show(page_of(real_reports))
    page, [report] = screen.page, real_reports
    ruler = Ruler(page, report.duration_s)
    assert page.locator(".verdict").inner_text() == "✓ passed: 2 conditions held"
    assert box_of(page.locator("path.spoken"))[0] == pytest.approx(ruler.x(0.5), abs=2)
    [barge_in], trace = report.barge_ins, report.trace
    assert trace is not None
    [hole] = trace.holes
    assert hole.for_s * 1000 == pytest.approx(report.playout.underrun_ms)
    assert hole.at_s == pytest.approx(
        12.3 + 0.2, abs=0.05
    )  # the parrot is 200 ms ahead when the network stalls
    left, _, right, _ = box_of(page.locator(".fault .band"))
    assert (left, right) == pytest.approx((ruler.x(hole.at_s), ruler.x(hole.at_s + hole.for_s)), abs=1)
    assert barge_in.clear_at_s is not None
    left, _, right, _ = box_of(page.locator(".barge-in .across"))
    assert (left + right) / 2 == pytest.approx(ruler.x(barge_in.clear_at_s), abs=1)
    assert [text for text, _ in shown_boxes(page, ".answer .label")] == [
        f"{turn.latency_ms:,.0f} ms" for turn in report.turns
    ]
    # What was heard begins where the answer does; a little of what is said before is too quiet to be an answer.
    assert (
        0 <= ruler.x(report.turns[0].reply_at_s) - box_of(page.locator("path.heard"))[0] < 0.3 * ruler.second
    )
    screen.shoot("real")


def test_the_milliseconds_of_a_barge_in_are_written_beside_it(opened: Opener) -> None:
    page = opened([busy_report()]).page
    [(text, label)] = shown_boxes(page, ".barge-in .label")
    assert text == "500 + 40 ms"
    bar = box_of(page.locator("rect.silence"))
    assert 0 < label[0] - bar[2] < 16
    assert label[1] < (bar[1] + bar[3]) / 2 < label[3]


def test_pointing_at_something_says_what_it_is(opened: Opener) -> None:
    page = opened([busy_report()]).page
    ruler = Ruler(page)
    readout = page.locator(".readout")
    _, top, _, _ = box_of(page.locator("path.spoken"))
    page.mouse.move(ruler.x(13.51), top + 10)
    assert "500 + 40 ms" in readout.inner_text()
    left, _, right, _ = box_of(page.locator(".cursor"))
    assert (left + right) / 2 == pytest.approx(ruler.x(13.5), abs=1)
    page.mouse.move(ruler.x(7.5), top + 10)
    assert float(readout.inner_text().removesuffix(" s")) == pytest.approx(7.5, abs=0.05)
    page.mouse.move(5, 5)
    assert readout.inner_text() == ""


def test_the_keyboard_reaches_everything(opened: Opener) -> None:
    page = opened([busy_report()], 360).page
    page.locator(".zoom button").last.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "scroll"
    told = []
    for _ in range(30):
        page.keyboard.press("ArrowRight")
        told.append(page.locator(".readout").inner_text())
    assert told[0] == "0.00 s · router: connected · audio/l16;rate=16000"
    assert told[-1] == told[-2] == "24.00 s · router: disconnected"
    assert "13.50 s · server: clear · 2400 ms dropped" in told
    # What is told of is in sight, although the picture is four times as wide as the screen.
    left, _, right, _ = box_of(page.locator(".cursor"))
    assert 0 < left <= right < 360
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator("details[open] > summary").inner_text() == "3 answers"


def test_a_picture_can_be_widened_and_then_has_more_ticks(opened: Opener) -> None:
    screen = opened([busy_report()], 1440)
    page = screen.page
    before, ticks = Ruler(page).second, len(shown_boxes(page, ".ticks text"))
    labels = len(shown_boxes(page, ".label"))
    page.get_by_text("4\N{MULTIPLICATION SIGN}").click()
    assert Ruler(page).second == pytest.approx(4 * before, rel=0.001)
    assert len(shown_boxes(page, ".ticks text")) > 1.5 * ticks
    assert len(shown_boxes(page, ".label")) >= labels
    assert overlaps(shown_boxes(page, ".ticks text")) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 1440
    assert page.locator(".zoom button[aria-pressed=true]").inner_text() == "4\N{MULTIPLICATION SIGN}"


def test_a_link_in_the_sum_opens_its_call(opened: Opener) -> None:
    page = opened(many_reports(25)).page
    assert page.locator("details.call[open]").count() == 1
    page.locator(".sum summary").click()
    page.locator("a[href='#call-25']").first.click()
    page.wait_for_function("document.getElementById('call-25').open")
    assert box_of(page.locator("#call-25"))[1] < 900


def test_without_scripts_everything_but_the_comfort_is_there(opened: Opener, browser: Browser) -> None:
    path = opened([busy_report()]).path
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.locator(".picture .rows").is_visible()
    assert page.locator(".barge-in .label").is_visible()
    page.get_by_text("11 events").click()
    assert page.locator("table.events").is_visible()
    assert page.locator(".zoom").count() == 0
    context.close()


def test_paper_is_white_and_has_the_pictures(opened: Opener) -> None:
    screen = opened(many_reports(3), 1440, "dark")
    page = screen.page
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert [figure.is_visible() for figure in page.locator("figure").all()] == [True] * 3
    assert page.locator(".sum table").is_visible()
    assert not page.locator(".zoom").first.is_visible()
    screen.shoot("print")


def test_what_a_peer_says_does_nothing(opened: Opener) -> None:
    for text in (
        "</script><script>alert(1)</script>",
        "<img src=http://127.0.0.1:9/x onerror=alert(1)>",
        "\u202e\x1b[2J",
    ):
        busy = busy_report(name=text)
        assert busy.trace is not None
        events = tuple(replace(event, name=text, detail=text) for event in busy.trace.events)
        nasty = replace(
            busy, trace=replace(busy.trace, events=events), close_reason=text, other_texts=(text,)
        )
        screen = opened([nasty], scenario=text, conditions=[text], conditions_failed=[text])
        screen.page.locator("summary", has_text="11 events").click()
        screen.page.mouse.move(Ruler(screen.page).x(13.5), 400)
        assert screen.page.locator("table.events tr").count() == 12


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_a_recording_can_be_looked_at_and_listened_to(
    opened: Opener, tmp_path: Path, width: int, scheme: Scheme
) -> None:
    tone = (8000 * np.sin(np.arange(16000 * 4) / 6)).astype("<i2")
    stereo = np.zeros((16000 * 4, 2), "<i2")
    stereo[: 16000 * 2, 0], stereo[16000 * 3 :, 1] = tone[: 16000 * 2], tone[16000 * 3 :]
    with WavWriter(tmp_path / "a.wav", 16000, channels=2) as writer:
        writer.write(stereo.tobytes())
    events = [TraceEvent(1.0, "router", "websocket:dtmf"), TraceEvent(3.5, "server", "underrun", for_s=0.1)]
    reader = RecordingReader(16000, events)
    reader.read(stereo.tobytes())
    call = reader.finish(title="call.wav", facts=[("connection", "c1"), ("session", "")])
    screen = opened.show(render_recorded(call, wav=(tmp_path / "a.wav").read_bytes()), width, scheme)
    screen.page.wait_for_function("document.querySelector('audio').readyState > 0")
    assert screen.page.evaluate("document.querySelector('audio').duration") == 4
    assert screen.page.evaluate("document.documentElement.scrollWidth") <= width
    assert screen.page.locator("path.spoken").count() == screen.page.locator("path.heard").count() == 1
    assert screen.page.locator("path.depth").count() == 0
    assert screen.page.get_by_text("1 answer").is_visible()
    screen.requests = [url for url in screen.requests if not url.startswith("data:audio/wav")]
