# SPDX-License-Identifier: Apache-2.0
"""What crosses the socket: the messages, their JSON, and the port to a WebSocket."""
