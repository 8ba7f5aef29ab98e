"""The server of the page: this machine only, reading only.

It binds 127.0.0.1. A page of another site could still make a browser ask it, under a
name of that site which has come to mean 127.0.0.1 (DNS rebinding), so other Host
headers are refused, and no other site may put an answer into its own page.
"""

import json
import os
import re
import sys
import traceback
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from mmseg_ftu.view.catalogue import Catalogue
from mmseg_ftu.view.routes import JSON, NotFoundError, Reply, reply_to

ADDRESS = '127.0.0.1'
# with any port: a tunnel (ssh -L) may have another one at its other end
HOST = re.compile(r'(127\.0\.0\.1|localhost)(:\d{1,5})?', re.IGNORECASE | re.ASCII)
# of the one style that OpenSeadragon 6.1.1 writes into a page
ITS_STYLE = 'sha256-9xTiqzfwFaL2SGb1rmr8gysEwVVjIvqWAgmZgqFqpEE='
HEADERS = {
    'Content-Security-Policy': (
        f"default-src 'none'; script-src 'self'; style-src 'self' '{ITS_STYLE}'; "
        "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
}
IDLE = 60  # seconds after which a connection that asks nothing is closed


class ViewServer(ThreadingHTTPServer):
    """A server for one folder of predictions.

    Args:
        catalogue: The images.
        port: Port; 0 takes any that is free.

    Raises:
        OSError: If the port is in use.
    """

    daemon_threads = True
    allow_reuse_address = os.name != 'nt'  # there it would share a port in use

    def __init__(self, catalogue: Catalogue, port: int) -> None:
        self.catalogue = catalogue
        super().__init__((ADDRESS, port), ViewHandler)

    def server_bind(self) -> None:
        """Bind without asking a name server who 127.0.0.1 is, which may take long."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = ADDRESS, self.server_address[1]

    @property
    def url(self) -> str:
        """The address of the page."""
        return f'http://{ADDRESS}:{self.server_address[1]}/'

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that went away, and else what happened."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class ViewHandler(BaseHTTPRequestHandler):
    """Answer GET and HEAD."""

    server: ViewServer
    protocol_version = 'HTTP/1.1'
    server_version, sys_version = 'mmseg-ftu', ''
    timeout = IDLE

    def do_GET(self) -> None:
        """Answer a request."""
        hosts = self.headers.get_all('Host', [])
        if len(hosts) != 1 or not HOST.fullmatch(hosts[0].strip()):
            self._refuse(
                HTTPStatus.FORBIDDEN,
                f'this page is served to this machine only, as {self.server.url}',
            )
            return
        path, _, query = self.path.partition('?')
        try:
            self._send(HTTPStatus.OK, reply_to(self.server.catalogue, path, query))
        except NotFoundError:
            self._refuse(HTTPStatus.NOT_FOUND, 'there is nothing of that name')
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except (ValueError, OSError) as error:
            self._refuse(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        except Exception as error:
            traceback.print_exc()
            name = type(error).__name__
            text = f'an error in the program ({name}); the terminal shows it'
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, text)

    do_HEAD = do_GET  # noqa: N815

    def _refuse_method(self) -> None:
        self.close_connection = True  # what else it sent is not read
        text = 'only GET and HEAD are answered'
        self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, text)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse_method  # noqa: N815
    do_TRACE = do_CONNECT = _refuse_method  # noqa: N815

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        content = json.dumps({'error': reason}).encode()
        self._send(status, Reply(content, JSON))

    def _send(self, status: HTTPStatus, reply: Reply) -> None:
        self.send_response(status)
        self.send_header('Content-Type', reply.type)
        self.send_header('Content-Length', str(len(reply.content)))
        # the next server at this port may show another folder at the same addresses
        self.send_header('Cache-Control', 'no-store')
        if reply.encoding:
            self.send_header('Content-Encoding', reply.encoding)
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header('Allow', 'GET, HEAD')
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(reply.content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of each request."""
