"""Serve the page about a folder of predictions until Ctrl-C."""

import errno
import os
import sys
import webbrowser
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from mmseg_ftu.units.unit_sources import image_files
from mmseg_ftu.view.catalogue import Catalogue
from mmseg_ftu.view.truth import Truth
from mmseg_ftu.view.view_server import ViewServer

PORT = 8642
IN_USE = (errno.EADDRINUSE, errno.EACCES)


def view_predictions(
    folder: Path,
    ground_truth: Path | None = None,
    images: Path | None = None,
    port: int | None = None,
    browser: bool = True,
    foreground: Iterable[int] | str = 'auto',
    ignore: int | None = None,
) -> None:
    """Serve a page about predictions; returns by Ctrl-C only.

    Args:
        folder: Folder that predict wrote.
        ground_truth: Masks of any layout that ``evaluate`` reads, or GeoJSON.
        images: Folder of the images, where they have been moved.
        port: Port of 127.0.0.1; 0 takes any that is free, None `PORT` or else any.
        browser: Whether to open the page in a browser.
        foreground: Labels that are foreground in the ground truth.
        ignore: Label of the ground truth that is ignored.

    Raises:
        ValueError: If the folder is not one of predictions, the ground truth is
            faulty, or the port cannot be had.
        KeyboardInterrupt: By Ctrl-C, when the files are closed.
    """
    truth = Truth(ground_truth, foreground, ignore) if ground_truth else None
    moved = image_files(images) if images else None
    with (
        closing(Catalogue(folder, truth, moved)) as catalogue,
        open_server(catalogue, port) as server,
    ):
        count = len(catalogue.rows)
        images_of = '1 image' if count == 1 else f'{count:,} images'
        print(f'{folder}: {images_of} at {server.url} (Ctrl-C ends it)', flush=True)
        if browser:
            _open_browser(server.url)
        server.serve_forever()


def open_server(catalogue: Catalogue, port: int | None) -> ViewServer:
    """Return a server that listens.

    Raises:
        ValueError: If the port cannot be had.
    """
    wanted = PORT if port is None else port
    if not 0 <= wanted < 2**16:
        raise ValueError(f'--port {port}: give a number of 0 to 65535')
    try:
        return ViewServer(catalogue, wanted)
    except OSError as error:
        if error.errno not in IN_USE:
            raise
        if port is not None:
            raise ValueError(
                f'--port {port}: it is in use or not allowed; give another, or 0 for '
                'any that is free'
            ) from None
    print(f'note: port {PORT} is in use, so another is taken', file=sys.stderr)
    return ViewServer(catalogue, 0)


def _open_browser(url: str) -> None:
    """Open a browser with windows; one in the terminal would take it over."""
    has_windows = os.name == 'nt' or sys.platform == 'darwin'
    if has_windows or os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY'):
        webbrowser.open(url)
