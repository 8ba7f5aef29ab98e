"""What the labels of masks mean, as a user says it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmseg_ftu.io.images import read_instances, read_mask

WORDS = ('auto', 'nonzero')


@dataclass(frozen=True)
class Labels:
    """The meaning of labels.

    Attributes:
        foreground: Labels that are foreground, ``'nonzero'`` or ``'auto'``, see
            ``read_mask``; a single word may stand in a list, as on a command line.
        ignore: Label of ignored pixels, None for none.
        prefix: How the options that say this begin, after ``--``; for messages.

    Raises:
        ValueError: If the foreground is neither numbers nor a single word.
    """

    foreground: Iterable[int] | str = 'auto'
    ignore: int | None = None
    prefix: str = ''

    def __post_init__(self) -> None:
        said = self.foreground
        given: list[object] = [said] if isinstance(said, str) else list(said)
        meaning: object
        if given in (['auto'], ['nonzero']):
            meaning = given[0]
        elif given and all(isinstance(label, int) for label in given):
            meaning = tuple(given)
        else:
            raise ValueError(
                f'--{self.prefix}foreground {" ".join(map(str, given))}: give labels, '
                f'or one of the words {", ".join(WORDS)}'
            )
        object.__setattr__(self, 'foreground', meaning)

    @property
    def are_given(self) -> bool:
        """Tell whether anything is said."""
        return self.foreground != 'auto' or self.ignore is not None

    def refuse(self, path: Path, meaning: str) -> None:
        """Raise if anything is said where it is not asked for.

        Args:
            path: Place of the masks, for the message.
            meaning: What is known of their labels.

        Raises:
            ValueError: If anything is said.
        """
        if self.are_given:
            raise ValueError(
                f'--{self.prefix}foreground and --{self.prefix}ignore: {path} '
                f'{meaning}; leave them out'
            )

    def read(self, path: Path) -> np.ndarray:
        """Read a mask, see ``read_mask``."""
        return read_mask(path, self.foreground, self.ignore, self.prefix)

    def read_instances(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        """Read an instance map, see the function of that name."""
        return read_instances(path, self.foreground, self.ignore, self.prefix)
