# SPDX-License-Identifier: Apache-2.0
"""A project of the user's own from one of the applications: ``audio-connector new``."""
