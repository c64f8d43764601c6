# SPDX-License-Identifier: Apache-2.0
"""Prometheus with the files of deploy/: it takes them, it scrapes, and what it then answers is what the load was."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from support.proxies import free_port, swapped, tool
from support.serving import DEADLINE_S
from support.workers import LAST, guests, supervised

DEPLOY = Path(__file__).parents[2] / "deploy"
FOLDER = DEPLOY / "prometheus"
DEBIAN = "Debian: apt install prometheus"

pytestmark = pytest.mark.deploy


def promtool(*arguments: str, folder: Path = FOLDER) -> None:
    done = subprocess.run(
        [tool("promtool", DEBIAN), *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def panel_expressions(job: str = "audio-connector") -> list[str]:
    """What the dashboard asks for, as Grafana asks for it."""
    panels = json.loads((DEPLOY / "grafana/audio-connector.json").read_text())["panels"]
    exprs = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    return [
        expr.replace("$__rate_interval", "1m").replace("$job", job).replace("$instance", ".*")
        for expr in exprs
    ]


def test_promtool_takes_the_files() -> None:
    promtool("check", "config", "prometheus.yml")
    promtool("test", "rules", "audio-connector.test.yml")


def test_promtool_takes_what_the_dashboard_asks(tmp_path: Path) -> None:
    rules = [{"record": f"panel_{at}", "expr": expr} for at, expr in enumerate(panel_expressions())]
    (tmp_path / "panels.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", "panels.yml", folder=tmp_path)


class Prometheus:
    """One that runs."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/api/v1"

    def ask(self, path: str, **query: str) -> Any:
        """What it answers; None where it cannot yet."""
        try:
            with urllib.request.urlopen(
                f"{self.url}/{path}?{urlencode(query)}", timeout=DEADLINE_S
            ) as answer:
                values = json.load(answer)
        except OSError:
            return None
        assert values["status"] == "success", values
        return values["data"]

    def value(self, expr: str) -> float | None:
        """Of an expression that is one number."""
        data = self.ask("query", query=expr)
        return float(data["result"][0]["value"][1]) if data and data["result"] else None

    async def until(self, expr: str, wanted: float) -> None:
        """Wait until an expression has this value."""
        give_up_at = time.monotonic() + DEADLINE_S
        while (value := await asyncio.to_thread(self.value, expr)) != wanted:
            assert time.monotonic() < give_up_at, (expr, value, wanted)
            await asyncio.sleep(0.1)


@contextmanager
def scraping(address: str, folder: Path) -> Iterator[Prometheus]:
    """Prometheus with the configuration of deploy/, for this server and more often."""
    port = free_port()
    config = swapped(
        (FOLDER / "prometheus.yml").read_text(), {"127.0.0.1:8765": address.partition("//")[2], "15s": "1s"}
    )
    (folder / "prometheus.yml").write_text(config)
    (folder / "audio-connector.rules.yml").write_text((FOLDER / "audio-connector.rules.yml").read_text())
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [
                tool("prometheus", DEBIAN),
                *("--config.file=prometheus.yml", "--storage.tsdb.path=data"),
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        yield Prometheus(port)
    finally:
        process.terminate()
        process.wait(DEADLINE_S)


async def test_prometheus_knows_what_the_load_was(tmp_path: Path) -> None:
    flags = ("--io-processes", "2")
    (tmp_path / "prometheus").mkdir()
    with (
        supervised(tmp_path, *flags) as served,
        scraping(served.address, tmp_path / "prometheus") as prometheus,
    ):
        await prometheus.until('up{job="audio-connector"}', 1)
        async with guests(served.address, *["/"] * 4) as callers:
            for caller in callers:
                await caller.say(*range(1, 50), LAST)
            await prometheus.until("sum(audio_connector_calls)", 4)
            await prometheus.until("sum(audio_connector_audio_received_messages_total)", 200)
        await prometheus.until("sum(audio_connector_calls)", 0)
        await prometheus.until('sum(audio_connector_calls_ended_total{code="1000"})', 4)
        assert prometheus.value("sum(audio_connector_audio_received_seconds_total)") == pytest.approx(4.0)
        assert prometheus.value("audio_connector_ready == audio_connector_io_processes") == 2
        # More came than was counted would show as a counter that has dropped.
        for name in ("audio_received_messages_total", "calls_opened_total", "process_cpu_seconds_total"):
            assert prometheus.value(f"sum(resets(audio_connector_{name}[10m]))") == 0, name
        answered = [
            bool((prometheus.ask("query", query=expr) or {}).get("result")) for expr in panel_expressions()
        ]
        assert sum(answered) > len(answered) * 0.6, "most panels show something after a minute"
        rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
        assert {rule["health"] for rule in rules} == {"ok"}
        assert not [rule["name"] for rule in rules if rule.get("state") == "firing"]
        log = (tmp_path / "prometheus/log").read_text()
        assert not re.search(r"level=(warn|error)", log), log
