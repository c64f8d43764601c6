# SPDX-License-Identifier: Apache-2.0
"""Coaches an agent while a call goes on: who talks how much, the checklist, and hints within two seconds.

Two streams of one session, the agent's and the customer's. `floor` knows who spoke when, `hints` says when that is
worth a word, `meaning` finds checklist and mood in what was said, `call` puts them together, and `app` serves.
"""
