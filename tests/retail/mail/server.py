"""A mail server for tests: real SMTP on a socket, with the faults of real servers."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from email import message_from_string
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message


class MailServer(socketserver.ThreadingTCPServer):
    """Accepts every e-mail, unless told otherwise."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Session)
        self.texts: list[str] = []  # those that it has accepted, whether it answered or not
        # Replies to commands instead of the usual ones; TEXT is the answer to the text. A reply of
        # None is never sent: the connection stays open until the client has had enough.
        self.replies: dict[str, str | None] = {}
        self.refused: set[str] = set()  # recipients that do not exist
        self.hold_first = False  # answer the first text once the second has been accepted
        self.second = threading.Event()
        self.trickles: str = ""  # the command whose reply comes in single bytes, without end

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.server_address[1])

    @property
    def messages(self) -> list[Message]:
        """The accepted e-mails, parsed."""
        return [message_from_string(text) for text in self.texts]


class _Session(socketserver.StreamRequestHandler):
    server: MailServer

    def _reply(self, command: str, usual: str) -> bool:
        """Reply to a command; return whether it was a success and the client is still there."""
        reply = self.server.replies.get(command, usual)
        if self.server.trickles == command:
            self._trickle()
            return False
        if reply is None:
            self.rfile.read(1)  # until the client closes the connection
            return False
        self.wfile.write(f"{reply}\r\n".encode())
        return reply[0] in "23"

    def _trickle(self) -> None:
        gone = threading.Event()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(b"2")
                gone.wait(0.02)

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            self._handle()

    def _handle(self) -> None:
        if not self._reply("CONNECT", "220 ready"):
            return
        while line := self.rfile.readline():
            command = line[:4].decode().strip().upper()
            if command == "QUIT":
                self._reply("QUIT", "221 bye")
                return
            if command == "RCPT" and any(name in line.decode() for name in self.server.refused):
                self.wfile.write(b"550 5.1.1 no such mailbox\r\n")
            elif command == "DATA":
                if self._reply("DATA", "354 go on"):
                    self._take()
            else:
                self._reply(command, "250 fine")

    def _take(self) -> None:
        lines = []
        while (line := self.rfile.readline()) and line != b".\r\n":
            lines.append(line.decode())
        if not line:
            return  # the text is not complete
        if (self.server.replies.get("TEXT") or "2")[0] == "2":
            self.server.texts.append("".join(lines).replace("\r\n", "\n"))
        if len(self.server.texts) > 1:
            self.server.second.set()
        elif self.server.hold_first:
            self.server.second.wait()
        self._reply("TEXT", "250 queued")


@contextlib.contextmanager
def running(port: int = 0) -> Iterator[MailServer]:
    """Run a mail server for the length of the `with` block."""
    with MailServer(port) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Clock:
    """A clock that stands still unless a test moves it."""

    def __init__(self, now: Any) -> None:
        self.now = now

    def __call__(self) -> Any:
        return self.now
