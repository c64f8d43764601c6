# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks`, what `make bench` runs: each measurement with its defaults, one after the other."""

from __future__ import annotations

import subprocess
import sys

_MEASUREMENTS = ("benchmarks.echo", "benchmarks.concurrent_calls")


def main() -> int:
    """Run every measurement, even after a failed one, and return the worst exit status."""
    worst = 0
    for number, module in enumerate(_MEASUREMENTS):
        print(f"{'' if number == 0 else chr(10)}== python -m {module}", flush=True)
        worst = max(worst, subprocess.run([sys.executable, "-m", module], check=False).returncode)
    return worst


sys.exit(main())
