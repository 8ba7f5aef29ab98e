"""The design of a study: models, arms, folds, seeds and the plan of the analysis.

``study_file`` reads it from a file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ENDPOINTS = ('dice', 'dice_tta')
TTA_VIEWS = ('identity', 'hflip', 'vflip')  # the paper's


@dataclass(frozen=True)
class Arm:
    """One way of training, laid over the config of each model.

    Attributes:
        name: Name of the arm, part of the id of its runs.
        base: Config files whose keys replace those of the model's config.
        options: Settings by dotted key, laid over them, as for ``--cfg-options``.
        epochs: The length of the run that the epoch numbers of files and options are
            written for; None if they suit any length.
        label: What tables and pictures call the arm.
    """

    name: str
    base: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    epochs: int | None = None
    label: str = ''


@dataclass(frozen=True)
class Contrast:
    """A comparison planned beforehand: arm ``a`` minus arm ``b``."""

    a: str
    b: str


@dataclass(frozen=True)
class Analysis:
    """The plan of the analysis, written before the first run.

    Attributes:
        date: Day on which it was written, such as ``2026-11-26``.
        contrasts: The comparisons that are planned. Others are explorative.
        reference: The arm to which all others are compared.
        margin: The least difference in Dice that would matter.
        resamples: Number of bootstrap samples.
        seed: Seed of the bootstrap and of random sign flips.
        question: What the study is to answer, and what would count as a yes.
    """

    date: str
    contrasts: tuple[Contrast, ...]
    reference: str
    margin: float = 0.01
    resamples: int = 10000
    seed: int = 0
    question: str = ''


@dataclass(frozen=True)
class Study:
    """A study as its file says it.

    Attributes:
        name: Name of the study, a column of the records.
        path: The study file.
        data: The prepared folder.
        models: Config of each model: a path, or ``mmseg_ftu::FOLDER/NAME.py``.
        arms: The arms, by name.
        folds: The folds that are held out in turn.
        seeds: The seeds of each fold.
        epochs: Length of the runs of each model.
        views: Views that ``dice_tta`` averages over.
        options: Settings laid over all models, before the arm.
        hooks: Hooks that are added to those of each run.
        matrix: Arms of each model; all where a model is not named.
        endpoints: Columns that are analysed, the primary one first.
        analysis: The plan of the analysis.
        curve_points: How often a run is validated and saved.
    """

    name: str
    path: Path
    data: Path
    models: Mapping[str, str]
    arms: Mapping[str, Arm]
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    epochs: Mapping[str, int]
    analysis: Analysis
    views: tuple[str, ...] = TTA_VIEWS
    options: Mapping[str, Any] = field(default_factory=dict)
    hooks: tuple[Mapping[str, Any], ...] = ()
    matrix: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    endpoints: tuple[str, ...] = ENDPOINTS
    curve_points: int = 10

    def arms_of(self, model: str) -> tuple[str, ...]:
        """Return the arms that a model gets."""
        return self.matrix.get(model, tuple(self.arms))

    def label(self, arm: str) -> str:
        """Return what an arm is called in tables and pictures."""
        return self.arms[arm].label or arm if arm in self.arms else arm

    def contrast_label(self, contrast: Contrast) -> str:
        """Return what a comparison is called in tables and pictures."""
        return f'{self.label(contrast.a)} minus {self.label(contrast.b)}'
