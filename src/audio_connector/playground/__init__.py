# SPDX-License-Identifier: Apache-2.0
"""A local page that stands in for a session: speak to a bot, hear it, and see both directions.

The Python side is the simulator's router, so that the page and the command line behave alike. This file imports
nothing of the extra ``playground``: the parrot serves the command line without it.
"""
