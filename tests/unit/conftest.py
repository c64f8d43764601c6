# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os

from hypothesis import settings

EXAMPLES = int(os.environ.get("TEST_EXAMPLES", "40"))
"""Of each property, others in each run; `make test EXAMPLES=1000` for who has changed something that has many."""

# A busy machine is no failure of what is tested; pytest-timeout ends what hangs.
settings.register_profile("unhurried", deadline=None, max_examples=EXAMPLES)
settings.load_profile("unhurried")
