"""A TCP proxy that misbehaves on demand: one link between two parts, switchable while traffic flows."""

import asyncio
import contextlib
import enum
import socket
import struct


class Mode(enum.StrEnum):
    """What a link does to its traffic."""

    PASS = "pass"
    REFUSE = "refuse"
    """New connections are reset, open ones too."""
    CUT = "cut"
    """Open connections are reset once; new ones pass."""
    HALF_OPEN = "half-open"
    """Requests arrive, answers do not: the server's direction is silent."""
    BLACK_HOLE = "black-hole"
    """Nothing passes in either direction, connecting still succeeds, nobody is told."""
    SLOW = "slow"
    """Every chunk is late."""


class Link:
    """Listens on a loopback port and forwards to `upstream`.

    `hits` counts what was really harmed in the present mode: connections reset, chunks held or delayed.
    """

    def __init__(self, upstream_port: int, *, slow_seconds: float = 0.15) -> None:
        self.port = 0
        self.mode = Mode.PASS
        self.hits = 0
        self._upstream = upstream_port
        self._slow = slow_seconds
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._changed = asyncio.Condition()

    async def start(self) -> None:
        """Begin to listen; `port` is known afterwards."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Reset everything and stop listening."""
        if self._server is not None:
            self._server.close()
        self._reset_all()
        await self.switch(Mode.PASS)

    async def switch(self, mode: Mode) -> None:
        """Behave like this from now on. What was held passes on when the link heals, as TCP would send it again."""
        self.hits = 0
        self.mode = Mode.PASS if mode is Mode.CUT else mode
        if mode in (Mode.CUT, Mode.REFUSE):
            self._reset_all()
        async with self._changed:
            self._changed.notify_all()

    def _reset_all(self) -> None:
        for writer in list(self._open):
            _reset(writer)
        self.hits += len(self._open) // 2

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode is Mode.REFUSE:
            self.hits += 1
            _reset(writer)
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            _reset(writer)
            return
        self._open |= {writer, back}
        try:
            pumps = [
                asyncio.create_task(self._pump(reader, back, (Mode.BLACK_HOLE,))),
                asyncio.create_task(self._pump(there, writer, (Mode.BLACK_HOLE, Mode.HALF_OPEN))),
            ]
            try:
                await asyncio.gather(*pumps)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open -= {writer, back}
            for end in (writer, back):
                end.close()
                with contextlib.suppress(OSError):
                    await end.wait_closed()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, held_in: tuple[Mode, ...]) -> None:
        while True:
            data = await source.read(65_536)
            if self.mode in held_in:
                self.hits += 1
                async with self._changed:
                    await self._changed.wait_for(lambda: self.mode not in held_in)
            if self.mode is Mode.SLOW:
                self.hits += 1
                await asyncio.sleep(self._slow)
            if not data:
                if sink.can_write_eof():
                    sink.write_eof()
                return
            sink.write(data)
            await sink.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
