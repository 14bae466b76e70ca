"""Who alerts are sent to: a real SMTP server and a real HTTP server on loopback, and the connections to them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

HOST = "127.0.0.1"


@dataclass
class Mails:
    """A mail server's: each mail by itself, and the addresses that it does not know."""

    port: int = 0
    got: list[tuple[list[str], Message]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, _: Any) -> str:
        if address in self.unknown:
            return "550 no such user here, s3cret"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.got.append((list(envelope.rcpt_tos), message_from_bytes(envelope.content)))
        return "250 taken"

    @property
    def subjects(self) -> list[str]:
        return [str(make_header(decode_header(mail["Subject"]))) for _, mail in self.got]

    def connection(self) -> str:
        extra = {"from_email": "muster@b.org", "disable_ssl": True, "disable_tls": True, "retry_limit": 0, "timeout": 5}
        return json.dumps({"conn_type": "smtp", "host": HOST, "port": self.port, "extra": extra})


class OnFreePort(Controller):
    """Listens on whichever port is free."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        super()._trigger_server()


@contextmanager
def mail_server() -> Iterator[Mails]:
    mails = Mails()
    controller = OnFreePort(mails, hostname=HOST, port=0)
    controller.start()
    try:
        mails.port = controller.port
        yield mails
    finally:
        controller.stop()


@dataclass
class Posts:
    """A web server's: what was posted, to which path, with which headers; and what it answers."""

    port: int = 0
    got: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    answer: int = 200
    before_answer: Callable[[], None] = lambda: None

    @property
    def bodies(self) -> list[Any]:
        return [body for _, _, body in self.got]

    def connection(self, path: str = "", **more: Any) -> str:
        return json.dumps({"conn_type": "http", "host": f"http://{HOST}:{self.port}{path}", **more})

    def slack(self, token: str) -> str:
        return json.dumps({"conn_type": "slackwebhook", "host": f"http://{HOST}:{self.port}", "password": token})


@contextmanager
def web_server(port: int = 0) -> Iterator[Posts]:
    posts = Posts()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if posts.answer < 300:
                posts.got.append((self.path, dict(self.headers), json.loads(body)))
            posts.before_answer()
            self.send_response(posts.answer)
            if posts.answer == 302:
                self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(b"ok")

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer((HOST, port), Handler)
    posts.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield posts
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
