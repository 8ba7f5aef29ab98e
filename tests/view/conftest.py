"""A small folder of predictions, as predict writes it, and a server for it."""

import json
import threading
from contextlib import closing, contextmanager
from http.client import HTTPConnection

import cv2
import numpy as np
import pandas as pd
import pytest

from mmseg_ftu.inference.writers import write_mask, write_probability
from mmseg_ftu.masks.geojson import write_geojson
from mmseg_ftu.masks.objects import find_objects, mean_probability
from mmseg_ftu.masks.run_mask import RunMask
from mmseg_ftu.units.unit_table import UnitImage, unit_rows, write_rows
from mmseg_ftu.view.catalogue import Catalogue
from mmseg_ftu.view.view_server import ViewServer

SHAPE = (600, 800)
DISCS = ((150, 200, 60), (420, 300, 30), (300, 650, 90))  # row, column, radius
KINDS = ('masks', 'probabilities', 'geojson', 'units')


def probability_of(discs=DISCS, shape=SHAPE):
    """Return discs in which the probability falls from 1 to .5 at their radius."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    found = [1 - np.hypot(y - r, x - c) / radius / 2 for r, c, radius in discs]
    return np.clip(np.max(found, axis=0), 0, 1).astype(np.float32)


class Folder:
    """A prediction folder in the making."""

    def __init__(self, path):
        self.path, self.rows = path / 'out', []
        self.images = path / 'images'
        self.images.mkdir(parents=True)
        self.path.mkdir()

    def add(self, name='a', kinds=KINDS, organ='kidney', shape=SHAPE, **cells):
        """Add an image of which some kinds of files were saved."""
        generator = np.random.default_rng(0)
        noise = generator.integers(120, 240, (-(-shape[0] // 8), -(-shape[1] // 8), 3))
        image = noise.repeat(8, 0).repeat(8, 1)[: shape[0], : shape[1]].astype(np.uint8)
        file = self.images / f'{name}.png'
        cv2.imwrite(str(file), image)
        p = probability_of(shape=shape)
        objects = find_objects(RunMask.from_strips([p > 0.5], shape))
        means = mean_probability(objects, [p])
        for kind in kinds:
            (self.path / kind).mkdir(exist_ok=True)
        if 'masks' in kinds:
            path = self.path / 'masks' / f'{name}.png'
            write_mask(path, objects.mask.strips(), shape)
        if 'probabilities' in kinds:
            path = self.path / 'probabilities' / f'{name}.tif'
            write_probability(path, [p], shape)
        if 'geojson' in kinds:
            path = self.path / 'geojson' / f'{name}.geojson'
            write_geojson(path, objects, name='glomerulus', mean_probability=means)
        if 'units' in kinds:
            about = UnitImage(name, organ, 'glomerulus', shape[0] * shape[1])
            rows = unit_rows(objects, about, means)
            write_rows(self.path / 'units' / f'{name}.csv', rows)
        row = dict(id=name, path=str(file), organ=organ, status='done')
        row |= dict(height=shape[0], width=shape[1], threshold=0.5, pixel_size=0.5)
        self.rows.append(row | dict(objects=len(objects)) | cells)
        return self

    def write(self):
        """Write the table; return the folder."""
        pd.DataFrame(self.rows).to_csv(self.path / 'predictions.csv', index=False)
        return self.path


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


@contextmanager
def serving(catalogue):
    """Run a server; yields it."""
    with closing(catalogue), ViewServer(catalogue, 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def serve(folder):
    """Return a function that serves the folder and gives its server."""
    opened = []

    def start(**options):
        manager = serving(Catalogue(folder.write(), **options))
        opened.append(manager)
        return manager.__enter__()

    yield start
    for manager in opened:
        manager.__exit__(None, None, None)


@pytest.fixture
def ask(serve):
    """Return a function that asks a server of the folder for something."""
    servers = []

    def get(path, method='GET', headers=None, **options):
        if not servers:
            servers.append(serve(**options))
        port = servers[0].server_address[1]
        connection = HTTPConnection('127.0.0.1', port, timeout=60)
        with closing(connection):
            connection.putrequest(method, path, skip_host=bool(headers))
            for name, value in headers or ():
                connection.putheader(name, value.format(port=port))
            connection.endheaders()
            answer = connection.getresponse()
            return answer, answer.read()

    return get


@pytest.fixture
def ask_json(ask):
    def get(path, **options):
        answer, content = ask(path, **options)
        assert answer.status == 200, content
        return json.loads(content)

    return get
