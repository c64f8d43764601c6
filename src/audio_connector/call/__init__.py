# SPDX-License-Identifier: Apache-2.0
"""One call as a machine without I/O: what came, what is asked and the time go in; writes, tells, a deadline come out."""
