"""The server: this machine only, reading only, and no path of a request is a path."""

import json
import zlib

import cv2
import numpy as np
import pytest

from mmseg_ftu.view.catalogue import Catalogue
from mmseg_ftu.view.view_predictions import PORT, open_server
from mmseg_ftu.view.view_server import ViewServer


@pytest.mark.parametrize(
    ('path', 'kind'),
    [
        ('/', 'text/html'),
        ('/static/main.js', 'text/javascript'),
        ('/static/view.css', 'text/css'),
        ('/static/openseadragon/openseadragon.min.js', 'text/javascript'),
        ('/static/openseadragon/LICENSE.txt', 'text/plain'),
        ('/images.json', 'application/json'),
        ('/image/0.json', 'application/json'),
        ('/image/0/thumbnail.jpg', 'image/jpeg'),
        ('/image/0/tile/1/0_0.jpg', 'image/jpeg'),
        ('/image/0/tile/0/1_1.jpg?x=1', 'image/jpeg'),
        ('/image/0/layer/0/0/1_1', 'application/octet-stream'),
        ('/image/0/units.json?threshold=0.7', 'application/json'),
        ('/image/0/unit/2.json', 'application/json'),
    ],
)
def test_what_is_served(folder, ask, path, kind):
    folder.add()
    answer, content = ask(path)
    assert answer.status == 200
    assert answer.headers['Content-Type'].startswith(kind)
    assert int(answer.headers['Content-Length']) == len(content) > 0
    assert "default-src 'none'" in answer.headers['Content-Security-Policy']
    assert answer.headers['Cross-Origin-Resource-Policy'] == 'same-origin'
    head, nothing = ask(path, method='HEAD')
    assert head.status == 200
    assert head.headers['Content-Length'] == answer.headers['Content-Length']
    assert nothing == b''


@pytest.mark.parametrize(
    'path',
    [
        '/static/../view_server.py',
        '/static/..%2fview_server.py',
        '/static/%2e%2e/view_server.py',
        '/static//etc/passwd',
        '/static/openseadragon/../page.html',
        '/static/',
        '//etc/passwd',
        '/../../etc/passwd',
        'http://elsewhere/',
        '/image/1.json',
        '/image/-1.json',
        '/image/00.json',
        '/image/99999999999999999999.json',
        '/image/a.json',
        '/image/0/tile/0/9_9.jpg',
        '/image/0/tile/9/0_0.jpg',
        '/image/0/layer/9/0/0_0',
        '/image/0/unit/3.json',
        '/image/0/units.json?threshold=2',
        '/image/0/units.json?threshold=nan',
        '/image/0/units.json?threshold=1e-1',
        '/predictions.csv',
        '/masks/a.png',
        '*',
    ],
)
def test_nothing_else_is_there(folder, ask, path):
    folder.add()
    answer, content = ask(path, headers=[('Host', 'localhost')])
    assert answer.status == 404
    assert json.loads(content) == {'error': 'there is nothing of that name'}


@pytest.mark.parametrize(
    ('headers', 'status'),
    [
        ([('Host', '127.0.0.1:{port}')], 200),
        ([('Host', 'localhost:{port}')], 200),
        ([('Host', 'LOCALHOST:1234')], 200),  # the other end of a tunnel
        ([('Host', 'evil.example:{port}')], 403),
        ([('Host', '127.0.0.1.evil.example')], 403),
        ([('Host', 'localhost.evil.example:{port}')], 403),
        ([('Host', 'evil.example@127.0.0.1')], 403),
        ([('Host', '0.0.0.0:{port}')], 403),
        ([('Host', '')], 403),
        ([('Host', 'localhost'), ('Host', 'evil.example')], 403),
        ([('X', 'no host at all')], 403),
    ],
)
def test_other_hosts_are_refused(folder, ask, headers, status):
    folder.add()
    answer, content = ask('/image/0.json', headers=headers)
    assert answer.status == status
    assert (b'this machine only' in content) == (status == 403)


@pytest.mark.parametrize(
    'method', ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT']
)
def test_nothing_can_be_sent(folder, ask, method):
    folder.add()
    answer, _ = ask('/image/0.json', method=method)
    assert answer.status == 405
    assert answer.headers['Allow'] == 'GET, HEAD'


def test_it_listens_on_this_machine_only(folder):
    with ViewServer(Catalogue(folder.add().write()), 0) as server:
        assert server.socket.getsockname()[0] == '127.0.0.1'


def test_a_port_in_use(folder, capsys):
    catalogue = Catalogue(folder.add().write())
    with open_server(catalogue, 0) as first:
        port = first.server_address[1]
        with pytest.raises(ValueError, match=f'--port {port}: it is in use'):
            open_server(catalogue, port)
    with pytest.raises(ValueError, match='0 to 65535'):
        open_server(catalogue, 70000)
    # the usual port, or another and a note; twice is one of each at least
    with open_server(catalogue, None) as one, open_server(catalogue, None) as other:
        assert one.server_address[1] != other.server_address[1] != PORT
    assert f'note: port {PORT} is in use' in capsys.readouterr().err


def test_a_browser_keeps_nothing(folder, ask):
    # another folder may be shown at the same port, or this one be predicted again
    folder.add()
    for path in ('/', '/images.json', '/image/0/thumbnail.jpg', '/image/0/units.json'):
        answer, _ = ask(path)
        assert answer.headers['Cache-Control'] == 'no-store', path


def test_a_damaged_file_is_named(folder, ask):
    folder.add()
    (folder.images / 'a.png').write_bytes(b'\x89PNG\r\n\x1a\n nothing')
    answer, content = ask('/image/0/units.json?threshold=0.7')
    assert answer.status == 200
    path = folder.path / 'probabilities' / 'a.tif'
    path.write_bytes(path.read_bytes()[:300])
    answer, content = ask('/image/0.json')
    assert any('a.png' in note for note in json.loads(content)['notes'])


def test_tiles_show_the_pixels(folder, ask):
    folder.add()
    image = cv2.imread(str(folder.images / 'a.png'))
    _, content = ask('/image/0/tile/0/1_0.jpg')
    tile = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert tile.shape == (512, 288, 3)
    assert abs(tile.astype(int) - image[:512, 512:]).mean() < 8  # of a JPEG
    answer, content = ask('/image/0/layer/0/0/1_0')
    assert answer.headers['Content-Encoding'] == 'deflate'
    levels = np.frombuffer(zlib.decompress(content), np.uint8).reshape(514, 290)
    mask = cv2.imread(str(folder.path / 'masks' / 'a.png'), -1)
    assert (levels[1:, :-1] == np.pad(mask, 1)[1:514, 512:801]).all()
    assert not levels[0].any()
    assert not levels[:, -1].any()  # beyond the border
