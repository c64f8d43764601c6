# SPDX-License-Identifier: Apache-2.0
"""Peers that mean harm, each beside calls that mean well: what the calls notice, and what the server keeps."""
