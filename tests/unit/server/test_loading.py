# SPDX-License-Identifier: Apache-2.0
"""An application is imported by its name; what goes wrong by that is tried in `test_bots.py` of the playground."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from audio_connector.errors import UsageError
from audio_connector.server.loading import load_application


def test_what_a_name_means_is_returned_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "named_bot.py").write_text("class inner:\n    app = 7\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    try:
        assert load_application("named_bot:inner.app") == 7
    finally:
        sys.modules.pop("named_bot", None)


@pytest.mark.parametrize("name", ["bot", "bot:", ":app", "../bot:app", "bot.py app"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="is no application; expected MODULE:NAME, such as bot:on_connect"):
        load_application(name)
