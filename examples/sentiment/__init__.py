# SPDX-License-Identifier: Apache-2.0
"""Follows the mood of a call: words and tone of each utterance, as a curve over the call, on a page and in a plot.

`tone` hears how something is said, `words` what it says, `mood` makes one thing of both, `app` puts them
together, and `plot` draws.
"""
