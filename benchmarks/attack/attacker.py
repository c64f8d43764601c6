# SPDX-License-Identifier: Apache-2.0
"""One attack, in a process of its own: is told to begin, and says what it did; ends with its stdin."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict

from benchmarks.attack.catalogue import BY_NAME
from benchmarks.attack.peers import Target

_NICENESS = 19
"""It shares a core with the calls that mean well, and must not be what they are late by."""


def main() -> None:
    """Attack as the command line says: name, address, seconds."""
    name, address, seconds = sys.argv[1:]
    os.nice(_NICENESS)
    sys.stdin.readline()
    print(json.dumps(asdict(BY_NAME[name].run(Target.of(address), float(seconds)))), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
