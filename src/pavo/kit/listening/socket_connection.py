"""A connection that may become a WebSocket: the application asks for it, the limits of streams go on to hold."""

from typing import Any

from pavo.kit.listening.connection import Connection, StreamEnded
from pavo.kit.listening.websocket import Code, Incoming, Opcode, ProtocolError, closing, frame


class SocketConnection(Connection):
    """A connection with limits, also for the messages of a WebSocket."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._socket: Incoming | None = None
        """What the client says since this is a WebSocket."""

    def data_received(self, data: bytes) -> None:
        if self._socket is None:
            super().data_received(data)
        elif self._ending is None and not self.transport.is_closing():
            self._hear(self._socket, data)

    def _unsupported_upgrade_warning(self) -> None:
        """The application upgrades a request itself (`begin_socket`); one that it does not is answered as usual."""

    def begin_socket(self, accept: bytes) -> bool:
        """Answer the request that is being served by 101; what follows is written by `write_message` alone.

        Returns:
            Whether its client was still there.
        """
        if self._ending is not None or self.transport.is_closing():
            return False
        head = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
        self.transport.write(b"%ssec-websocket-accept: %s\r\n\r\n" % (head, accept))
        self.cycle.response_started = True
        self._socket = Incoming()
        self.begin_stream()
        return True

    async def write_message(self, text: bytes, opcode: Opcode = Opcode.TEXT) -> None:
        """Send one message, and wait until the kernel has all of it.

        Raises:
            StreamEnded: it was ended, or its client has left.
        """
        if self._ending is not None or self.transport.is_closing() or self.cycle.disconnected:
            raise StreamEnded
        self.transport.writelines(frame(opcode, text))
        await self.flow.drain()

    def end_stream(self, reason: str) -> None:
        """As of a stream: of a client that takes nothing."""
        if self._socket is None:
            super().end_stream(reason)
        elif self.transport.get_write_buffer_size():
            self.end_socket(Code.TRY_LATER, reason)

    def end_socket(self, code: Code, reason: str = "") -> None:
        """Tell why, and close the connection; twice is once."""
        if self._ending is not None or self.transport.is_closing():
            return
        self._ending = self.loop.time()
        self.transport.writelines(closing(code, reason))
        self.cycle.response_complete = True
        self._disconnect()
        self.transport.close()

    def _hear(self, socket: Incoming, data: bytes) -> None:
        try:
            for opcode, payload in socket.feed(data):
                if opcode == Opcode.CLOSE:
                    self.end_socket(Code.NORMAL)
                elif opcode == Opcode.PING and not self.transport.get_write_buffer_size():
                    self.transport.writelines(frame(Opcode.PONG, payload))
        except ProtocolError as error:
            self.end_socket(error.code)
