# SPDX-License-Identifier: Apache-2.0
"""Audio and events on their way to the application: bounded, in order, never blocking the reader."""
