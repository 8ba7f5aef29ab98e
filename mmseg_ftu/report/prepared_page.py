"""One HTML page about a prepared folder: what training will see.

Coordinates that do not fit are the commonest mistake with annotations, and a look is
the quickest way to find them. The page shows each slide with its annotations and tiles,
if the images are of slides, and images with their masks.
"""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from markupsafe import Markup
from tqdm import tqdm

from mmseg_ftu.io.atomic_files import write_bytes
from mmseg_ftu.io.images import read_image, read_levels
from mmseg_ftu.io.own_files import is_own_prepared_page, require_own
from mmseg_ftu.io.raster import IGNORE_LABEL
from mmseg_ftu.io.resizing import resize_image, target_shape
from mmseg_ftu.io.tables import read_by_id
from mmseg_ftu.masks.draw_outlines import draw_labels
from mmseg_ftu.prepared_folder import OVERVIEWS, SLIDES, TILES, PreparedFolder
from mmseg_ftu.prepared_table import PreparedImage
from mmseg_ftu.report.page import content_hash, count
from mmseg_ftu.report.page_templates import page_environment, read_template
from mmseg_ftu.report.pictures import jpeg_data_uri
from mmseg_ftu.version import __version__


class Card(NamedTuple):
    """An image with its mask: a data URI, its size in px, and what is said of it."""

    name: str
    picture: str
    width: int
    height: int
    facts: list[str]


class Section(NamedTuple):
    """Images of one slide, or of one organ where there are no slides.

    Attributes:
        title: Name of the slide or the organ.
        overview: Data URI of the slide with its annotations; '' for none.
        facts: What is said of all of them.
        cards: Images that are shown.
        images: Number of all images.
    """

    title: str
    overview: str
    facts: list[str]
    cards: list[Card]
    images: int


def write_prepared_page(
    path: Path, output: Path, images: int = 8, longest: int = 512
) -> str:
    """Write the page.

    Args:
        path: The prepared folder.
        output: The page.
        images: How many images of each slide, or of each organ, are shown.
        longest: Longer side of their pictures, 32 to 4096 px.

    Returns:
        A summary for people.

    Raises:
        ValueError: If a number is out of range, the folder is not prepared, or the
            output is a file of another kind.
    """
    if images < 0:
        raise ValueError(f'--images {images}: give 0 or more')
    if not 32 <= longest <= 4096:
        raise ValueError(f'--thumbnail {longest}: give 32 to 4096 px')
    require_own(output, is_own_prepared_page)
    folder = PreparedFolder.open(path)
    folder.require_files(folder.images)
    groups = group_images(folder)
    sections = [
        _section(folder, title, members, images, longest)
        for title, members in tqdm(groups.items(), 'drawing', disable=None)
    ]
    html = _render(folder=folder, sections=sections, images=len(folder.images))
    output.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(output, html.encode(errors='replace'))
    shown = sum(len(section.cards) for section in sections)
    return f'wrote {output}: {shown} of {count(len(folder.images), "image")}'


def group_images(folder: PreparedFolder) -> dict[str, list[PreparedImage]]:
    """Return the images by slide, or by organ where they are not of slides."""
    groups: dict[str, list[PreparedImage]] = {}
    slide_of: dict[str, str] = {}
    if (folder.path / TILES).is_file():
        column = read_by_id(folder.path / TILES)['slide']
        slide_of = {str(name): str(slide) for name, slide in column.items()}
    for image in folder.images:
        title = slide_of.get(image.id, image.organ or 'images')
        groups.setdefault(title, []).append(image)
    return groups


def spread(members: Sequence[PreparedImage], most: int) -> list[PreparedImage]:
    """Return some images, evenly from the first to the last."""
    if len(members) <= most:
        return list(members)
    places = np.linspace(0, len(members) - 1, most).round().astype(int)
    return [members[place] for place in places]


def _section(
    folder: PreparedFolder,
    title: str,
    members: Sequence[PreparedImage],
    most: int,
    longest: int,
) -> Section:
    """Draw the images of a slide or an organ."""
    picture = folder.path / OVERVIEWS / f'{title}.jpg'
    overview = ''
    if picture.is_file():
        data = base64.b64encode(picture.read_bytes()).decode('ascii')
        overview = f'data:image/jpeg;base64,{data}'
    cards = [_card(folder, image, longest) for image in spread(members, most)]
    return Section(title, overview, _slide_facts(folder, title), cards, len(members))


def _slide_facts(folder: PreparedFolder, title: str) -> list[str]:
    """Return what the table of slides says about one."""
    if not (folder.path / SLIDES).is_file():
        return []
    table: pd.DataFrame = read_by_id(folder.path / SLIDES)
    if title not in table.index:
        return []
    row: dict[str, str] = {str(k): str(v) for k, v in table.loc[title].items()}
    notes = [row['notes']] if row['notes'] else []
    return [
        f'{row["width"]} x {row["height"]} px at {row["pixel_size"]} um/px',
        f'{row["units"]} units, {row["ignored"]} ignored, {row["regions"]} regions',
        f'{row["tiles_with_units"]} tiles with units, {row["tiles_without"]} without',
        f'group {row["group"]}',
        *notes,
    ]


def _card(folder: PreparedFolder, image: PreparedImage, longest: int) -> Card:
    """Draw an image with its mask."""
    pixels = read_image(folder.image_path(image.id))
    labels = read_levels(folder.mask_path(image.id))
    shape = target_shape(pixels.shape[:2], min(longest, max(pixels.shape[:2])))
    # shown at half their size until they are enlarged
    drawn = draw_labels(resize_image(pixels, shape), labels, max(1, max(shape) // 200))
    facts = [f'{100 * (labels == 1).mean():.1f} % units']
    if (labels == IGNORE_LABEL).any():
        facts.append(f'{100 * (labels == IGNORE_LABEL).mean():.1f} % ignored')
    if image.fold is not None:
        facts.append(f'fold {image.fold}')
    return Card(image.id, jpeg_data_uri(drawn), shape[1], shape[0], facts)


def _render(**context: Any) -> str:
    """Fill the template; every text is escaped, and no script may run."""
    style = read_template('prepared.css')
    return (
        page_environment()
        .get_template('prepared.html')
        .render(
            **context,
            count=count,
            style=Markup(style),
            style_hash=content_hash(style),
            version=__version__,
        )
    )
