# SPDX-License-Identifier: Apache-2.0
"""Notes of a meeting: who said what and when, what was decided, and who does what until when."""
