# SPDX-License-Identifier: Apache-2.0
"""A duplex echo load against three servers in one run: bare picows, this library and the vendor's SDK."""
