"""Results of ``accuracy.py``: a CSV for each set and fold, and their table."""

from pathlib import Path

import pandas as pd

from mmseg_ftu.io.atomic_files import write_bytes
from mmseg_ftu.io.locks import locked_folder
from mmseg_ftu.study.statistics import Paired, mean_difference

RECORDS = Path(__file__).with_name('accuracy')
KEY = ['set', 'contestant', 'minutes', 'fold']
COLUMNS = [*KEY, 'steps', 'image', 'group', 'dice', 'dice_flips']
TUNED = 0  # the fold on which recipes and learning rates are chosen


def read(file: Path) -> pd.DataFrame:
    """Read a file of records.

    Raises:
        ValueError: If it is damaged.
    """
    try:
        return pd.read_csv(file, dtype=dict(image=str, group=str))[COLUMNS]
    except (ValueError, KeyError) as error:
        raise ValueError(f'{file} is not a table of runs: {error}') from error


class Records:
    """The CSV files of a folder, one for each set and fold."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self) -> pd.DataFrame:
        files = sorted(self.folder.glob('*_fold_*.csv'))
        frames = [read(file) for file in files]
        return pd.concat(frames) if frames else pd.DataFrame(columns=COLUMNS)

    def steps_of(self, key: dict) -> int | None:
        """Return the steps of a run that is done, else None."""
        frame = self.read()
        found = frame[(frame[KEY] == pd.Series(key)[KEY]).all(axis=1)]
        return None if found.empty else int(found.steps.iloc[0])

    def add(self, key: dict, rows: list[dict]) -> pd.DataFrame:
        """Add a run to its file, which is written anew; return its rows."""
        frame = pd.DataFrame([key | row for row in rows])[COLUMNS]
        name = f'{key["set"].replace(" ", "_")}_fold_{key["fold"]}.csv'
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / name
        with locked_folder(self.folder):
            parts = [read(file), frame] if file.is_file() else [frame]
            text = pd.concat(parts).to_csv(index=False, lineterminator='\n')
            write_bytes(file, text.encode())
        return frame

    def table(self) -> str:
        """Return two Markdown tables: the held-out folds, and the tries on fold 0."""
        frame = self.read()
        parts = [
            ('Folds that nothing was chosen on', frame[frame.fold != TUNED]),
            (f'Tries on fold {TUNED}', frame[frame.fold == TUNED]),
        ]
        return '\n\n'.join(
            f'{title}:\n\n{table(part)}' for title, part in parts if len(part)
        )


def table(frame: pd.DataFrame) -> str:
    """Return a Markdown table of the means over all images, best first.

    Dice is of one view, ``flips`` of the mean of three. The interval is for new
    patients and, with one seed, takes folds for clusters (`mean_difference`). ``ahead``
    is the mean difference of ours to the best peer on the images that both were scored
    on, with its interval.
    """
    lines = [
        '| set | minutes | contestant | folds | images | steps | Dice | 95 % | flips '
        '| ahead |',
        '|---|---|---|---|---|---|---|---|---|---|',
    ]
    key = ['set', 'minutes', 'contestant']
    means = frame.groupby(key).dice.mean().sort_values(ascending=False)
    for name, minutes in frame[key[:2]].drop_duplicates().itertuples(index=False):
        of_set = means[name, minutes]
        peer = next((who for who in of_set.index if not is_ours(who)), None)
        for who, mean in of_set.items():
            part = frame[(frame[key] == [name, minutes, who]).all(axis=1)]
            folds = ', '.join(str(fold) for fold in sorted(part.fold.unique()))
            lines.append(
                f'| {name} | {minutes:g} | {who} | {folds} | {len(part)} '
                f'| {part.steps.iloc[0]} | {mean:.3f} | {interval(part)} '
                f'| {part.dice_flips.mean():.3f} '
                f'| {ahead(frame, part, peer) if is_ours(who) else ""} |'
            )
    return '\n'.join(lines)


def is_ours(contestant: str) -> bool:
    return contestant.startswith('ours')


def ahead(frame: pd.DataFrame, ours: pd.DataFrame, peer: str | None) -> str:
    """Return the mean difference to a peer on the images of both."""
    theirs = frame[frame.contestant == peer]
    both = ours.merge(theirs, on=['set', 'minutes', 'fold', 'image', 'group'])
    if both.empty:
        return ''
    both['dice'] = both.dice_x - both.dice_y
    return f'{both.dice.mean():+.3f} ({interval(both)})'


def interval(part: pd.DataFrame) -> str:
    """Return the interval of the mean of ``part.dice``, in words."""
    if part.group.nunique() < 2:
        return 'one group'
    images = part.dice.to_numpy()[:, None]
    found = mean_difference(
        Paired(images, part.group.to_numpy(str), part.fold.to_numpy())
    )
    return f'{found.low:.3f} to {found.high:.3f}'
