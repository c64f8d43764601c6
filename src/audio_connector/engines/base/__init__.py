# SPDX-License-Identifier: Apache-2.0
"""What the adapters share: the ports, the errors, where models are found, and how work is done off the loop."""
