# SPDX-License-Identifier: Apache-2.0
"""One call as a machine without I/O: events, asks and the time go in; writes, tells and a deadline come out."""
