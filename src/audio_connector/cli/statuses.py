# SPDX-License-Identifier: Apache-2.0
"""The exit statuses of the command line that more than one file knows; 0 is clean, 1 says that something was lost."""

from __future__ import annotations

BAD_INPUT = 2
"""Of a command that could not do its work: bad input, or a server that cannot be reached."""

INTERRUPTED = 130
"""After Ctrl-C."""
