"""What was measured on one image: small, and the same as JSON and back."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np

from mmseg_ftu.stain.policy import StainFitError

NOT_FITTED = 'nothing was measured on the image'


@dataclass(frozen=True)
class Fit:
    """A measurement, or the reason why there is none.

    Attributes:
        reason: Why the image could not be fitted; None if it could. The values are
            None then, unless the target's stand in for them.
    """

    reason: str | None = None

    @property
    def found(self) -> bool:
        """Whether there are values to work with."""
        return all(
            getattr(self, field.name) is not None
            for field in fields(self)
            if field.name != 'reason'
        )

    def state_dict(self) -> dict[str, Any]:
        """Return lists of numbers and text, fit for JSON."""
        state = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in state.items()
        }

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> Self:
        """Return what `state_dict` was called on.

        Raises:
            ValueError: If keys are missing or unknown, or a value is not finite.
        """
        names = {field.name for field in fields(cls)}
        if set(state) != names:
            raise ValueError(
                f'state of a {cls.__name__} has keys {sorted(state)}: expected '
                f'{sorted(names)}'
            )
        values: dict[str, Any] = {
            name: np.array(value, np.float64) if isinstance(value, list) else value
            for name, value in state.items()
        }
        for name, value in values.items():
            if isinstance(value, np.ndarray) and not np.isfinite(value).all():
                raise ValueError(f'{name} in the state of a {cls.__name__}: not finite')
        return cls(**values)


@dataclass(frozen=True)
class StainFit(Fit):
    """Two stains of an image.

    Attributes:
        stains: ``(2, 3)`` float64, unit rows in optical density, haematoxylin first.
        strengths: ``(2,)`` float64, 99th percentile of each one's concentration over
            the tissue (over all pixels where the normaliser is ``compatible``).
    """

    stains: np.ndarray | None = None
    strengths: np.ndarray | None = None

    @property
    def values(self) -> tuple[np.ndarray, np.ndarray]:
        """The stains and their strengths.

        Raises:
            StainFitError: If there are none.
        """
        if self.stains is None or self.strengths is None:
            raise StainFitError(self.reason or NOT_FITTED)
        return self.stains, self.strengths


@dataclass(frozen=True)
class LabFit(Fit):
    """Mean and spread of tissue in CIE Lab, scaled to 0..255 as OpenCV does.

    Attributes:
        mean: ``(3,)`` float64.
        std: ``(3,)`` float64.
    """

    mean: np.ndarray | None = None
    std: np.ndarray | None = None

    @property
    def values(self) -> tuple[np.ndarray, np.ndarray]:
        """The mean and the spread.

        Raises:
            StainFitError: If there are none.
        """
        if self.mean is None or self.std is None:
            raise StainFitError(self.reason or NOT_FITTED)
        return self.mean, self.std
