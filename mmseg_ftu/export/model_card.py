"""The card of a model folder, ``README.md``: for people and the Hugging Face Hub."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from mmseg_ftu.export.licences import hub_metadata
from mmseg_ftu.export.package_facts import PackageFacts
from mmseg_ftu.version import __version__

FEW = 5  # images, whose bootstrap interval covers far less than it says
TAGS = ('histology', 'pathology', 'semantic-segmentation', 'functional-tissue-units')
CARD = """# {name}

Outlines each {unit} in stained tissue{of_organ}. Made with mmseg_ftu {version}.

{pictures}## Use

It needs the Python package `mmseg_ftu`: install its wheel, or `pip install .` in a
clone of its repository.

```bash
mmseg-ftu predict {folder} --input IMAGES --output OUT
```

```python
from mmseg_ftu import FTUPredictor

mask = FTUPredictor('{folder}')('image.png').mask  # (H, W), 1 is {unit}
```

`{folder}` is this folder, or its `hf://OWNER/REPO`. Weights are safetensors, the config
is data.

## What it expects

- **Pixel size**: {pixel_size}
- **Size**: {size}
- **Stains**: {stain}
- **Threshold**: {threshold}

## Training

{training}

## Scores

{scores}

## Limits

- It has seen the images above and no others. Other laboratories, scanners, stains and
  diseases change the result: look at the outlines on your own images first, and compare
  with an annotator (`mmseg-ftu evaluate`).
- Not a medical device. It must not be used for diagnosis.

## Licence

Weights: {license}. Training data: {data_license}.
{authors}"""


def card_of(
    facts: PackageFacts, content: Mapping[str, Any], pictures: Mapping[str, bool]
) -> str:
    """Return the card, Markdown with the Hub's metadata in front.

    Args:
        facts: What is said of the model.
        content: Content of ``model.json``.
        pictures: Names of pictures in the folder, and whether each shows an image
            that was trained on.
    """
    text = CARD.format(
        name=facts.name,
        unit=facts.unit,
        of_organ=f' of {facts.organ}' if facts.organ else '',
        version=__version__,
        folder=f'./{facts.name}',
        pictures=''.join(
            f'![outlines of what was found]({name})\n\n'
            + '*An image that was trained on: it looks better than others.*\n\n'
            * is_trained
            for name, is_trained in pictures.items()
        ),
        pixel_size=_pixel_size(facts),
        size=(
            f'images are resized to {facts.training_size} px on their longer side; '
            'slides, and images whose pixel size asks for it, are cut into tiles '
            'of that size'
            if facts.training_size
            else 'images are taken as they are'
        ),
        stain=(
            f'normalised as in training ({facts.stain}); `predict` does it'
            if facts.normalises_stains
            else f'as they are ({facts.stain})'
        ),
        threshold=_threshold(facts),
        training=_training(content),
        scores=_scores(content['scores']),
        license=content['license'] or 'not stated',
        data_license=content['data_license'] or 'not stated',
        authors=f'Authors: {", ".join(content["authors"])}.\n'
        if content['authors']
        else '',
    )
    return f'---\n{_metadata(facts, content)}---\n\n{text}'


def _metadata(facts: PackageFacts, content: Mapping[str, Any]) -> str:
    """Return the block that the Hub reads."""
    entries: dict[str, Any] = {
        'library_name': 'mmseg_ftu',
        'pipeline_tag': 'image-segmentation',
        'tags': [*TAGS, *([facts.organ] if facts.organ else [])],
    }
    if content['license']:
        entries = {**hub_metadata(content['license']), **entries}
    text: str = yaml.safe_dump(entries, sort_keys=False, allow_unicode=True)
    return text


def _pixel_size(facts: PackageFacts) -> str:
    if facts.pixel_size is None:
        return 'unknown'
    text = f'{facts.pixel_size:.4g} um/px'
    if len({*facts.pixel_sizes.values()}) > 1:
        listed = ', '.join(f'{o} {um:.4g}' for o, um in facts.pixel_sizes.items())
        text += f' ({listed})'
    return f'{text}; slides and images of known pixel size are brought to it'


def _threshold(facts: PackageFacts) -> str:
    text = f'a pixel is {facts.unit} above {facts.threshold:g}'
    entries: list[tuple[str, float]] = []
    for source, table in facts.thresholds.items():
        if isinstance(table, Mapping):
            entries += [
                (source if organ == 'default' else f'{source} {organ}', value)
                for organ, value in table.items()
            ]
        else:
            entries.append(('otherwise' if source == 'default' else source, table))
    if len({value for _, value in entries}) > 1:
        listed = ', '.join(f'{name} {value:g}' for name, value in entries)
        text += f'; `predict` chooses by data source and organ ({listed})'
    return text


def _training(content: Mapping[str, Any]) -> str:
    training = content['training']
    said = (content['data'] or 'The training data are not described').rstrip('. ')
    lines = [f'{said}.']
    if training['images'] is not None:
        held_out = '' if training['fold'] is None else ' Another fold was held out.'
        lines.append(f'Images that were trained on: {training["images"]}.{held_out}')
    return ' '.join(lines)


def _scores(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return 'None are given.'
    lines = ['| images of | number | mean Dice | 95 % |', '|---|---|---|---|']
    for row in rows:
        low, high = row['dice_low'], row['dice_high']
        interval = '' if low is None else f'{low:.3f} to {high:.3f}'
        mean = 'none' if row['dice_mean'] is None else f'{row["dice_mean"]:.3f}'
        cells = str(row['group']).replace('|', '/'), row['images'], mean, interval
        lines.append(f'| {" | ".join(map(str, cells))} |')
    note = 'Intervals resample images; those of one patient are alike, so that they are'
    note += ' rather too narrow.'
    if any(row['images'] < FEW and row['dice_low'] is not None for row in rows):
        note += f' Those of fewer than {FEW} images say next to nothing.'
    return '\n'.join([*lines, '', note])
