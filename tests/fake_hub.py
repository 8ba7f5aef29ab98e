"""A hub of models in memory, which answers as the Hugging Face Hub does."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

BEFORE, COMMIT = '0' * 40, '1' * 40


class FakeHub(ThreadingHTTPServer):
    """Hold repositories in memory.

    Attributes:
        repositories: Files of each repository.
        public: Whether they are public.
        asked: What was asked for.
        refuses: Answer 403 to whatever would change something.
        faults: HTTP status by the end of a path; 0 ends the connection.
        commit: The newest commit of all repositories.
        moves: Whether somebody commits in between.
    """

    def __init__(self) -> None:
        super().__init__(('127.0.0.1', 0), _Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.asked: list[str] = []
        self.refuses, self.public = False, True
        self.faults: dict[str, int] = {}
        self.commit, self.moves = BEFORE, False

    @property
    def address(self) -> str:
        return f'http://127.0.0.1:{self.server_port}'


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    hub = FakeHub()
    Thread(target=hub.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: FakeHub

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        self.server.asked.append(f'POST {self.path}')
        if self.is_answered():
            return
        if self.server.refuses:
            self.answer(403, dict(error='this token may not write'))
        elif self.path == '/api/repos/create':
            entry = json.loads(body)
            name = f'{entry["organization"]}/{entry["name"]}'
            self.server.repositories.setdefault(name, {})
            self.answer(200, dict(url=f'{self.server.address}/{name}', name=name))
        elif self.path == '/api/validate-yaml':
            self.answer(200, dict(errors=[], warnings=[]))
        elif found := re.fullmatch(r'/api/models/(.+)/preupload/\w+', self.path):
            files = [
                dict(path=entry['path'], uploadMode='regular', shouldIgnore=False)
                for entry in json.loads(body)['files']
            ]
            self.answer(200, dict(files=files))
        elif found := re.fullmatch(r'/api/models/(.+)/commit/\w+', self.path):
            files = self.server.repositories[found[1]]
            lines = [json.loads(line) for line in body.splitlines()]
            parent = lines[0]['value'].get('parentCommit')
            if parent != self.server.commit or self.server.moves:
                self.answer(412, dict(error='the branch has moved'))
                return
            for line in lines:
                value = line['value']
                if line['key'] == 'file':
                    files[value['path']] = base64.b64decode(value['content'])
                elif line['key'] == 'deletedFile':
                    del files[value['path']]
            self.server.commit = COMMIT
            url = f'{self.server.address}/{found[1]}/commit/{COMMIT}'
            self.answer(200, dict(commitUrl=url, commitOid=COMMIT, success=True))
        else:
            self.answer(404, dict(error='unknown'))

    def do_GET(self):
        self.server.asked.append(f'{self.command} {self.path}')
        if self.is_answered():
            return None
        path = self.path.partition('?')[0]
        if found := re.fullmatch(
            r'/api/models/([\w.-]+/[\w.-]+)(?:/revision/(\w+))?', path
        ):
            files = self.server.repositories.get(found[1])
            if files is None:
                headers = {'X-Error-Code': 'RepoNotFound'}
                return self.answer(404, dict(error='no such repository'), headers)
            siblings = [dict(rfilename=name) for name in files]
            entry = dict(
                id=found[1],
                sha=self.server.commit,
                siblings=siblings,
                private=not self.server.public,
            )
            return self.answer(200, entry)
        if found := re.fullmatch(r'/api/models/(.+)/tree/\w+', path):
            entries = [
                dict(type='file', path=name, size=len(content), oid='0')
                for name, content in self.server.repositories[found[1]].items()
            ]
            return self.answer(200, entries)
        if found := re.fullmatch(r'/([\w.-]+/[\w.-]+)/resolve/(\w+)/(.+)', path):
            content = self.server.repositories.get(found[1], {}).get(found[3])
            if content is None:
                headers = {'X-Error-Code': 'EntryNotFound'}
                return self.answer(404, dict(error='no such file'), headers)
            tag = hashlib.sha256(content).hexdigest()
            headers = {'ETag': f'"{tag}"', 'X-Repo-Commit': self.server.commit}
            return self.answer(200, content, headers)
        return self.answer(404, dict(error='unknown'))

    do_HEAD = do_GET  # noqa: N815

    def is_answered(self) -> bool:
        """Answer with a fault, if there is one for this path."""
        for end, status in self.server.faults.items():
            if self.path.partition('?')[0].endswith(end):
                if status:
                    self.answer(status, dict(error='a fault'))
                self.close_connection = True
                return True
        return False

    def answer(self, status, content, headers=None):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)

    def log_message(self, *_):
        pass
