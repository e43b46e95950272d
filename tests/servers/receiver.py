"""A receiver of callbacks on loopback, over TLS where asked, that keeps what came and answers as it is told."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from standardwebhooks import Webhook

Answer = Callable[["Handler"], None]


@dataclass(frozen=True)
class Message:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> Any:
        """Return the body's JSON, once Standard Webhooks' own library has found the signature good."""
        return Webhook(secret).verify(self.body, self.headers)


class Handler(BaseHTTPRequestHandler):
    """One connection; `keep_going` says whether the test still wants an answer that never ends."""

    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.messages.append(Message(self.command, self.path, headers, body))
        answers = self.server.answers
        try:
            (answers.pop(0) if len(answers) > 1 else answers[0])(self)
        except OSError:
            self.close_connection = True

    do_GET = do_POST  # noqa: N815 - http.server's name

    def keep_going(self, seconds: float) -> bool:
        return not self.server.stopped.wait(seconds)

    def log_message(self, *_: object) -> None:
        """Keep the tests' output quiet."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    messages: list[Message]
    answers: list[Answer]
    stopped: threading.Event

    def handle_error(self, *_: object) -> None:
        """A client that goes away is no error here."""


def says(status: int, **headers: str) -> Answer:
    """Answer a status with headers (underscores for hyphens)."""

    def answer(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()

    return answer


def hangs(handler: Handler) -> None:
    """Answer nothing."""
    while handler.keep_going(0.1):
        pass


def dribbles(handler: Handler) -> None:
    """Send headers without end, a byte now and then."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while handler.keep_going(0.05):
        handler.wfile.write(b"a")
        handler.wfile.flush()


def floods(start: bytes) -> Answer:
    """Send a start, then without end."""

    def answer(handler: Handler) -> None:
        handler.wfile.write(start)
        while handler.keep_going(0):
            handler.wfile.write(b"x" * 65536)

    return answer


class Receiver:
    """`with Receiver() as receiver: receiver.url`; with `certificate` (a PEM file with its key) it speaks TLS."""

    def __init__(
        self, *answers: Answer, certificate: Path | None = None, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        """Prepare a receiver that gives these answers in turn, the last one ever after; 204 where none is told."""
        self._server = Server((host, port), Handler)
        self._server.messages, self._server.stopped = [], threading.Event()
        self._server.answers = list(answers) or [says(204)]
        self.scheme = "http"
        if certificate:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate)
            # The handshake is left to the connection's own thread.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
            self.scheme = "https"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self._server.server_address[0]}:{self.port}"

    @property
    def messages(self) -> list[Message]:
        return self._server.messages

    def answer(self, *answers: Answer) -> None:
        """Give these answers from now on."""
        self._server.answers = list(answers)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.stopped.set()
        self._server.shutdown()
        self._server.server_close()


def write_certificate(path: Path, *names: str) -> Path:
    """Write a self-signed certificate for host names and addresses, with its key, as one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([_general(n) for n in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
    return path


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
