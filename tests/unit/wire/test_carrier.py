# SPDX-License-Identifier: Apache-2.0
"""Where a token stands in a request: what one side puts there is what the other finds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.errors import UsageError
from audio_connector.wire.carrier import Carrier
from audio_connector.wire.quoting import without_secrets
from audio_connector.wire.transport import Headers

TOKENS = st.from_regex(r"eyJ[A-Za-z0-9_-]{5,20}\.[A-Za-z0-9_-]{5,20}\.[A-Za-z0-9_-]{5,20}", fullmatch=True)
CARRIERS = st.sampled_from(["header:authorization", "header:X-Token", "query:token", "query:a+b", "path"])
URLS = st.sampled_from(
    ["ws://x", "ws://x/", "wss://x:5/bot", "ws://x/bot/", "ws://x?a=b", "ws://x/bot?a=b", "ws://[::1]:5/b"]
)


@given(token=TOKENS, text=CARRIERS, url=URLS)
def test_what_is_put_is_found_and_nothing_else_is_changed(token: str, text: str, url: str) -> None:
    carrier = Carrier.of(text)
    target = carrier.target_of(token, url)
    path, _, query = (target or "/bot?a=b").partition("?")
    headers = Headers(carrier.headers_of(token).items())
    assert carrier.tokens_in(path, query, headers) == [token]
    assert (target is None) == text.startswith("header:")
    assert ("a=b" in query) == ("a=b" in url or target is None)
    assert token not in without_secrets(target or "")
    assert Carrier.of(str(carrier)) == carrier


@pytest.mark.parametrize(
    "text",
    ["", "header", "header:", "query", "path:x", "cookie:x", "header:a b", "query:a=b", "Path", None, 5],
)
def test_no_other_text_is_one(text: object) -> None:
    with pytest.raises(UsageError, match="expected 'header:authorization'"):
        Carrier.of(text)
