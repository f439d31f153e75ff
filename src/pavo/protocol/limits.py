"""How large the messages of the protocol may be, on both sides, and what each call says beside them."""

from typing import Final

MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
"""Of one message, whoever sends it: a larger one ends its stream."""
MAX_BODY_BYTES: Final = MAX_MESSAGE_BYTES - 1024
"""Of a command or a result, which is a part of a message: the side that makes a larger one says so in its place."""
MESSAGE_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
)
"""gRPC's options of both sides."""

PROGRAM: Final = "pavo-boot-id"
"""Metadata of each call: the boot id of the agent program that asks, as its Hello said it."""

CHECK_SECONDS: Final = 600
"""For a command that prepares or verifies, where it names no time."""
