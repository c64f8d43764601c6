# SPDX-License-Identifier: Apache-2.0
"""Audio on its way into the session: utterances, the schedule that paces them, and its driver."""
