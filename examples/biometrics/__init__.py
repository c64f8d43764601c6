# SPDX-License-Identifier: Apache-2.0
"""Biometrics: who speaks, and how sure that is; enrolled with consent, kept encrypted, forgotten on demand.

Read `likeness` first (what a score is), then `call` (how somebody is verified while they speak), `vault` (what is
kept) and `spoof` (what looks like a recording). ``python -m biometrics --help``.
"""
