# SPDX-License-Identifier: Apache-2.0
"""Callers that talk: what they say is spoken from text, what the bot says is understood, and both can be judged.

What speaks and what understands is handed in, behind the small ports of `ports`: nothing here knows an engine.
"""
