# SPDX-License-Identifier: Apache-2.0
"""The server: its configuration, its I/O thread, its connections and their handles."""
