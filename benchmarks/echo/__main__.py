# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.echo`."""

from __future__ import annotations

import sys

from benchmarks.echo.run import main

sys.exit(main())
