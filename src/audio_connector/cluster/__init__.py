# SPDX-License-Identifier: Apache-2.0
"""Several application processes behind one address: a supervisor, its workers, and the I/O processes they share."""
