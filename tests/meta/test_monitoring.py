# SPDX-License-Identifier: Apache-2.0
"""Names in rules, dashboard and documentation are those that a server tells, and each of these is explained."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from audio_connector.port.meters import METRICS, Metric
from audio_connector.server.prometheus import PREFIX

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/audio-connector.rules.yml"
RULE_TESTS = ROOT / "deploy/prometheus/audio-connector.test.yml"
DASHBOARD = ROOT / "deploy/grafana/audio-connector.json"
PAGE = ROOT / "docs/metrics.md"

_USED = re.compile(rf"\b{PREFIX}_([a-z_]+)(\{{[^}}]*\}})?")
_LABELS = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"")
_BY = re.compile(r"by \(([^)]*)\)")
OF_PROMETHEUS = {"job", "instance", "le"}


def told_names(name: str, metric: Metric) -> list[str]:
    """What Prometheus knows a metric by."""
    if metric.kind == "histogram":
        return [f"{name}_bucket", f"{name}_count", f"{name}_sum"]
    return [f"{name}_total"] if metric.kind == "counter" else [name]


TOLD = {told: metric for name, metric in METRICS.items() for told in told_names(name, metric)}


def faults_of(text: str) -> list[str]:
    """Names and labels in expressions that no server tells."""
    faults = []
    for name, selector in _USED.findall(text):
        if name not in TOLD:
            faults.append(f"{name}: no such metric")
            continue
        known = OF_PROMETHEUS | set(TOLD[name].labels)
        faults += [f"{name}: no label {label}" for label in _LABELS.findall(selector) if label not in known]
    labels = OF_PROMETHEUS.union(*(TOLD[name].labels for name, _ in _USED.findall(text) if name in TOLD))
    for group in _BY.findall(text):
        faults += [
            f"by {each.strip()}: no such label" for each in group.split(",") if each.strip() not in labels
        ]
    return faults


def panels() -> list[dict[str, Any]]:
    """Those of the dashboard that show something."""
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def test_what_would_be_found() -> None:
    assert faults_of(f'sum by (le, side) (rate({PREFIX}_loop_lag_seconds_bucket{{side="x"}}[5m]))') == []
    assert faults_of(f"{PREFIX}_calls_total") == ["calls_total: no such metric"]
    assert faults_of(f'{PREFIX}_calls{{worker="1"}}') == ["calls: no label worker"]
    assert faults_of(f"sum by (worker) ({PREFIX}_calls)") == ["by worker: no such label"]


def test_the_dashboard_asks_for_what_there_is() -> None:
    exprs = [target["expr"] for panel in panels() for target in panel["targets"]]
    assert exprs
    for expr in exprs:
        assert _USED.search(expr), expr
        assert faults_of(expr) == [], expr


def test_the_rules_ask_for_what_there_is() -> None:
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    records = {rule["record"]: rule["expr"].split()[0] for rule in rules if "record" in rule}
    for rule in rules:
        expr = rule["expr"]
        for name, recorded in records.items():
            expr = expr.replace(name, recorded)
        assert f"{PREFIX}:" not in expr
        assert faults_of(expr) == [], rule
    names = {name for name, _ in _USED.findall(RULE_TESTS.read_text())}
    assert names <= set(TOLD)


def test_every_rule_is_seen_to_fire_and_is_explained() -> None:
    alerts = re.findall(r"- alert: (\w+)", RULES.read_text())
    assert len(set(alerts)) == len(alerts)
    fired = set(re.findall(r'alertname="(\w+)"', RULE_TESTS.read_text()))
    assert fired == set(alerts)
    page = PAGE.read_text()
    assert [alert for alert in alerts if f"`{alert}`" not in page] == []


def test_panels_do_not_overlap_and_say_what_they_show() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    for panel in panels():
        assert panel["description"].endswith("."), panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}", "no Grafana has the ids of another one"


def test_the_page_has_a_row_for_each_metric_as_it_is() -> None:
    table = PAGE.read_text().partition("## Every metric")[2].partition("| label |")[0]
    assert f"`{PREFIX}_`" in table  # which its rows leave out, so that a name is not broken
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.MULTILINE))
    expected = {}
    for name, metric in METRICS.items():
        told = f"{name}_total" if metric.kind == "counter" else name
        kind = {"max": "gauge", "min": "gauge"}.get(metric.kind, metric.kind)
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        expected[told] = f"{kind} | {labels} | {metric.about}" if labels else f"{kind} | | {metric.about}"
    rows.pop("info")
    assert rows == expected
