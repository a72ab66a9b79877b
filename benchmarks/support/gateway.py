"""A payment gateway that approves everything at once: `python -m benchmarks.support.gateway PORT`.

It stands where the simulator would: a real server for the shop's HTTP client, but so cheap that the
measured machine does not notice it. It keeps nothing.
"""

import asyncio
import re
import sys

_KEY = re.compile(rb"\r\nidempotency-key: *(\S+)", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class _Gateway(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not separator or (length and len(body) < int(length[1])):
            return
        self._received = b""
        key = _KEY.search(head)
        answer = b'{"status": "approved", "key": "%s"}' % (key[1] if key else b"")
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (len(answer), answer)
        )


async def _main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Gateway, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
