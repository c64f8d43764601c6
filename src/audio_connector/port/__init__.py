# SPDX-License-Identifier: Apache-2.0
"""What crosses between the I/O side and the application, and the carriers that take it across."""
