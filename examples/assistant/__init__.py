# SPDX-License-Identifier: Apache-2.0
"""A voice that listens, answers aloud from a small file of knowledge, and can be interrupted in the middle of a word.

It remembers only what the caller really heard, shows what each turn took, and says goodbye before it hangs up.
"""
