"""Put the report together: one HTML file that needs no other and no network."""

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from math import isnan
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup
from tqdm import tqdm

from mmseg_ftu.evaluation.held_out import TrainingCheck, checkpoints_of
from mmseg_ftu.evaluation.labels import Labels
from mmseg_ftu.evaluation.mask_sources import MaskSource, open_masks
from mmseg_ftu.io.atomic_files import write_bytes
from mmseg_ftu.io.own_files import is_own_report, require_own
from mmseg_ftu.report import charts, unit_charts
from mmseg_ftu.report.cases import Group, Scores, group_by_organ, score_images
from mmseg_ftu.report.curves import read_curves
from mmseg_ftu.report.page_templates import page_environment, read_template
from mmseg_ftu.report.pictures import Picture, draw_picture
from mmseg_ftu.version import __version__

# What prediction.json is expected to hold, in the order of the page; the rest follows.
SETTINGS = ('config', 'checkpoints', 'views', 'thresholds', 'versions')


class Card(NamedTuple):
    """An image on the page: its id, its row of ``Scores.table``, and its layers."""

    name: str
    row: Mapping[str, Any]
    picture: Picture


def write_report(
    folder: Path,
    ground_truth: Path | None = None,
    work_dir: Path | None = None,
    output: Path | None = None,
    images: int = 3,
    thumbnail: int = 512,
    *,
    foreground: Iterable[int] | str = 'auto',
    ignore: int | None = None,
    pred_foreground: Iterable[int] | str = 'auto',
    pred_ignore: int | None = None,
) -> Path:
    """Write the report on a folder of predictions.

    Args:
        folder: Folder written by ``tools/predict.py`` or ``tools/test.py --out``, or
            any other layout of ``open_masks``.
        ground_truth: Prepared folder, folder of masks, or CSV with run lengths.
        work_dir: ``--work-dir`` of the training run, for learning curves.
        output: The page; ``report.html`` in or beside ``folder`` by default.
        images: How many of the worst and of the best of each organ to show, 0 or more.
        thumbnail: Longer side of the pictures, 32 to 4096 px.
        foreground: Labels that are foreground in the ground truth, see
            ``mmseg_ftu.evaluation.labels.Labels``.
        ignore: Label of the ground truth that is left out of the scores.
        pred_foreground: Labels that are foreground in the predictions.
        pred_ignore: Label of the predictions that is background.

    Returns:
        Where the page is.

    Raises:
        ValueError: If an argument is out of range, an input is not what it should be,
            or prediction and ground truth do not belong together, or ``output`` is a
            file that is not a report.
    """
    if images < 0:
        raise ValueError(f'--images {images}: give 0 or more')
    if not 32 <= thumbnail <= 4096:
        raise ValueError(f'--thumbnail {thumbnail}: give 32 to 4096 px')
    if ground_truth is None and Labels(foreground, ignore).are_given:
        raise ValueError('--foreground and --ignore say what --gt holds: give it too')
    output = output or (folder if folder.is_dir() else folder.parent) / 'report.html'
    require_own(output, is_own_report)
    prediction = open_masks(folder, pred_foreground, pred_ignore, 'pred-')
    truth = open_masks(ground_truth, foreground, ignore) if ground_truth else None
    curves = read_curves(work_dir) if work_dir else None
    scores = score_images(prediction, truth)
    groups = group_by_organ(scores.table, images)
    cards = draw_cards(scores, groups, prediction, truth, thumbnail)
    html = render_page(
        **page_context(prediction, truth, scores, groups, cards),
        curves=curves,
        panels=charts.draw_panels(curves) if curves else [],
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(output, html.encode(errors='replace'))  # names may not be valid Unicode
    return output


def draw_cards(
    scores: Scores,
    groups: list[Group],
    prediction: MaskSource,
    truth: MaskSource | None,
    longer_side: int,
) -> dict[str, Card]:
    """Draw the images that were chosen, by id."""
    chosen = [name for group in groups for name in (*group.low, *group.high)]
    rows = scores.table.loc[chosen].to_dict('index')
    return {
        name: Card(
            name,
            {str(key): value for key, value in rows[name].items()},
            draw_picture(name, prediction, truth, longer_side),
        )
        for name in tqdm(chosen, 'drawing', disable=None, leave=False)
    }


def page_context(
    prediction: MaskSource,
    truth: MaskSource | None,
    scores: Scores,
    groups: list[Group],
    cards: dict[str, Card],
) -> dict[str, Any]:
    """Collect what the template says about the images and the settings."""
    is_dice = bool(scores.table.dice.notna().any())
    top = charts.strip_top(groups, is_dice)
    ticks = [top * i / 4 for i in range(5)]
    settings = shorten_settings(prediction.settings)
    order = [key for key in SETTINGS if key in settings]
    order += [key for key in settings if key not in order]
    pictures = [card.picture for card in cards.values()]
    return {
        'folder': prediction.path,
        'truth_path': truth.path if truth else None,
        'scores': scores,
        'is_dice': is_dice,
        'groups': groups,
        'strips': [charts.draw_strip(group, top) for group in groups],
        'strip_ticks': [(charts.strip_position(x, top), x) for x in ticks],
        'cards': cards,
        'found_units': unit_charts.found_groups(scores),
        'unit_groups': unit_charts.read_unit_groups(prediction.path),
        'failed': dict(prediction.absent),
        'trained_on': TrainingCheck(prediction, truth, prediction.ids).sentence,
        'settings': {key: settings[key] for key in order},
        'without_probability': sum(not x.probability for x in pictures),
        'with_profile': any(x.probability and x.mask for x in pictures),
        'longer_side': max((max(x.width, x.height) for x in pictures), default=0),
        'without_tissue': sum(not x.tissue for x in pictures),
    }


def shorten_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with a number for each checkpoint's training images."""
    short = dict(settings)
    if checkpoints := checkpoints_of(settings):
        short['checkpoints'] = [
            checkpoint | {'train_images': len(checkpoint['train_images'])}
            if 'train_images' in checkpoint
            else checkpoint
            for checkpoint in checkpoints
        ]
    return short


def facts(row: Mapping[str, Any]) -> list[str]:
    """Say what is known of an image; NaN stands for what is not."""
    texts: dict[str, Callable[[float], str]] = {
        'pixel_size': lambda size: f'{size:g} µm/px',
        'foreground': lambda share: f'{100 * share:.1f} % foreground',
        'objects': lambda objects: count(round(objects), 'object'),
        'threshold': lambda threshold: f'threshold {threshold:.3g}',
    }
    known = [text(row[key]) for key, text in texts.items() if not isnan(row[key])]
    return [row['data_source'], *known] if row['data_source'] else known


def count(number: int, noun: str) -> str:
    """Write a number of things: the plural of ``line or value`` is ``lines or values``.

    All nouns of the page take an s.
    """
    if number == 1:
        return f'1 {noun}'
    return f'{number} ' + ' or '.join(f'{part}s' for part in noun.split(' or '))


def render_page(**context: Any) -> str:
    """Fill the templates; every text is escaped, and no script but ours may run."""
    style, script = read_template('page.css'), read_template('page.js')
    return (
        page_environment()
        .get_template('page.html')
        .render(
            **context,
            chart=charts,
            unit_chart=unit_charts,
            facts=facts,
            count=count,
            # Ours, not from the outside: written into the page as they are.
            style=Markup(style),
            script=Markup(script),
            style_hash=content_hash(style),
            script_hash=content_hash(script),
            made=datetime.now().astimezone().strftime('%Y-%m-%d %H:%M %Z'),
            version=__version__,
        )
    )


def content_hash(text: str) -> str:
    """Return the hash by which a Content-Security-Policy admits an inline text."""
    digest = hashlib.sha256(text.encode()).digest()
    return 'sha256-' + base64.b64encode(digest).decode('ascii')
