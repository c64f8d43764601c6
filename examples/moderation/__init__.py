# SPDX-License-Identifier: Apache-2.0
"""Moderation: what is said is flagged while it is said, by a policy, with a clip as evidence and a log for auditors.

Read `policy` first (what breaks which rule), then `app` (how a call is listened to); `evidence` and `audit` are what
stays. ``python -m moderation --help``.
"""
