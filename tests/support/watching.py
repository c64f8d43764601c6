# SPDX-License-Identifier: Apache-2.0
"""Who looks at a server over HTTP: health checks, Prometheus, and `audio-connector top`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from support.peers import Answer, bare

from audio_connector.port.meters import METRICS, read_found

Key = tuple[str, tuple[str, ...]]

TOLD_AT = re.compile(r"are told at (http://\S+)")
"""Of the line that says where the admin port is."""


async def fetch(address: str, path: str, start: str = "GET", version: str = "1.1", **options: Any) -> Answer:
    """Ask for a page; of HTTP/1.0 without a Host, as HAProxy does."""
    host = "" if version == "1.0" else "Host: localhost\r\n"
    async with bare(address, f"{start} {path} HTTP/{version}\r\n{host}\r\n".encode(), **options) as peer:
        return await peer.answer()


async def calls_of(admin: str) -> list[dict[str, Any]]:
    """The live calls, by the admin port."""
    page = await fetch(admin, "/calls")
    assert page.status == 200, page
    return list(json.loads(page.body)["calls"])


async def counts_of(admin: str) -> dict[Key, Any]:
    """What is counted as of now; of a histogram how many values."""
    page = await fetch(admin, "/calls")
    assert page.status == 200, page
    found = read_found(json.dumps([json.loads(page.body)["snapshot"], []]))
    assert found is not None
    return {
        (name, labels): sum(sample[:-1]) if isinstance(sample, list) else sample
        for name, labels, sample in found.snapshot
    }


def counts_in(text: str) -> dict[Key, float]:
    """The same of a text of Prometheus."""
    counts: dict[Key, float] = {}
    for family in text_string_to_metric_families(text):
        name = family.name.removeprefix("audio_connector_")
        for sample in family.samples:
            if name in METRICS and not sample.name.endswith(("_bucket", "_sum", "_created")):
                counts[name, labels_in(sample.labels, METRICS[name].labels)] = sample.value
    return counts


def labels_in(labels: dict[str, str], names: Sequence[str]) -> tuple[str, ...]:
    """The values in the order of the names."""
    return tuple(labels[name] for name in names)


def admin_in(log: str) -> str:
    """Where the admin port is."""
    found = TOLD_AT.search(log)
    assert found is not None, log
    return found[1]
