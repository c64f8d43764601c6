# SPDX-License-Identifier: Apache-2.0
"""Test your own bot."""
