# SPDX-License-Identifier: Apache-2.0
"""Live captions of a session: who says what, while they say it, corrected, translated, and kept as files."""
