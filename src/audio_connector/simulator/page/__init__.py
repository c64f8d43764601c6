# SPDX-License-Identifier: Apache-2.0
"""The report as a page: one HTML file that asks for nothing else, with a picture of every call over time.

document   the page: verdict, figures in sum, the calls
recorded   the page of a recording
shell      what every page is in
picture    one call over time, as SVG
lanes      the rows of a picture
axis       where things are, whatever the width: percentages, ticks and labels by level
outline    waveforms and depths as paths
text       what comes from a peer, made harmless
"""

from __future__ import annotations

from audio_connector.simulator.page.document import render_page
from audio_connector.simulator.page.recorded import render_recorded

__all__ = ["render_page", "render_recorded"]
