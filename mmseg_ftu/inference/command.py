"""What ``tools/predict.py`` does: arguments to predictor, folder and run."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log

from mmseg_ftu.engine.config_thresholds import thresholds_of
from mmseg_ftu.engine.model_folder import (
    ANY_IMAGES,
    NO_UNIT,
    ImagesOfModel,
    find_model_folder,
    images_of_model,
    is_model_folder,
    own_weights,
    read_facts,
)
from mmseg_ftu.inference.file_options import FileOptions
from mmseg_ftu.inference.jobs import Job, list_jobs
from mmseg_ftu.inference.predict_folder import Summary, predict_folder
from mmseg_ftu.inference.prediction_folder import PredictionFolder
from mmseg_ftu.inference.prediction_settings import read_settings
from mmseg_ftu.inference.predictor import FTUPredictor
from mmseg_ftu.inference.provenance import describe_checkpoints, versions
from mmseg_ftu.inference.slide_table import read_slide_table
from mmseg_ftu.inference.trained_images import check_trained_images
from mmseg_ftu.io.launched_as import launched_as
from mmseg_ftu.io.own_files import refuse_nesting
from mmseg_ftu.thresholds import organ_alone, source_without_entry


def predict(
    config: str,
    checkpoints: Sequence[str],
    input: str | None,
    output: Path,
    *,
    slides: Path | None = None,
    save: Sequence[str] = ('masks', 'overlays'),
    overwrite: bool = False,
    strict: bool = False,
    organ: str | None = None,
    data_source: str | None = None,
    pixel_size: float | None = None,
    fold: int | None = None,
    allow_other_fold: bool = False,
    thresholds: str | None = None,
    threshold: float | None = None,
    device: str | None = None,
    **options: Any,
) -> Summary:
    """Predict images into a folder.

    Args:
        config: Path of the config, or a model folder, as `FTUPredictor` takes it.
        checkpoints: Paths or URLs of the weights; empty for those of a model folder.
        input: Path of the images, as `list_jobs` takes it; None with ``slides``.
        output: Folder for the results.
        slides: Table of the images, as `read_slide_table` takes it.
        save: Kinds of files to write, from ``mmseg_ftu.inference.choices.KINDS``.
        overwrite: Replace results that were made with other settings, or of another
            image of the same name: the files that predict listed, and no others.
        strict: Raise at the first image that fails.
        organ: Organ of images that no table tells it of. A model folder's own where
            neither this nor ``data_source`` is given.
        data_source: Data source of images that no table tells it of.
        pixel_size: Pixel size of images that no table tells it of, um/px.
        fold: Fold of a prepared folder to predict; None predicts all.
        allow_other_fold: Accept a fold that a checkpoint was trained on.
        thresholds: File of ``tools/fit_thresholds.py``; None takes the config's.
        threshold: One threshold for all images, 0..1, instead of a table.
        device: Device for the network; None takes an accelerator if there is one.
        **options: Further arguments of `FTUPredictor` and `FileOptions`.

    Returns:
        What was done.

    Raises:
        ValueError: If an argument or a file cannot be used.
        OSError: If a file cannot be opened.
    """
    checkpoints = checkpoints or [str(name) for name in own_weights(config)]
    images = images_of_model(config)
    if organ is None and data_source is None:
        organ = images.organ
    known = organ, data_source, pixel_size
    jobs, folders = _jobs(input, slides, known, fold)
    if options.get('class_name') is None:
        options['class_name'] = unit_of_model(config)
    names = {field.name for field in fields(FileOptions)} & set(options)
    file_options = FileOptions(
        tuple(save), **{name: options.pop(name) for name in names}
    )
    rank, world_size, local_rank = launched_as()
    device = device or get_device()
    if device == 'cuda' and world_size > 1:
        device = f'cuda:{local_rank % torch.cuda.device_count()}'
    table = _thresholds(thresholds, threshold, options.get('cfg_options'))
    refuse_nesting(output, folders, [job.path for job in jobs])
    read_settings(output)  # before anything is written into a folder of others
    predictor = FTUPredictor(
        *(config, checkpoints),
        thresholds=table,
        device=device,
        temporary=output,  # where there is room for results
        progress=rank == 0,
        **options,
    )
    if rank == 0:
        for text in threshold_doubts(
            jobs, predictor.thresholds, thresholds is not None, images
        ):
            print_log(text, level=logging.WARNING)
    metas = predictor.network.metas
    check_trained_images(jobs, metas, fold, allow_other_fold)
    described = describe_checkpoints(checkpoints, predictor.network.weights, metas)
    folder = PredictionFolder(
        output,
        dict(
            checkpoints_sha256=[entry['sha256'] for entry in described],
            weights=predictor.network.weights,
            **predictor.settings(),
            **file_options.state(),
            fold=fold,
        ),
        dict(
            config=config,
            cfg_options=predictor.cfg_options,
            checkpoints=described,
            versions=versions(),
            device=predictor.network.device.type,
        ),
        overwrite,
    )
    return predict_folder(
        predictor, jobs, folder, file_options, strict, rank, world_size
    )


def unit_of_model(config: str) -> str | None:
    """Return what a model folder calls the units that it finds; None if nothing."""
    if not is_model_folder(config):
        return None
    facts = read_facts(find_model_folder(config))
    unit = facts.get('unit')
    if not isinstance(unit, str) or unit in (NO_UNIT, facts.get('organ')):
        return None  # `export model` was not told
    return unit


def _jobs(
    input: str | None,
    slides: Path | None,
    known: tuple[str | None, str | None, float | None],
    fold: int | None,
) -> tuple[list[Job], list[Path]]:
    """Return the images, and the folders that were searched for them."""
    if slides is not None and input is None:
        if fold is not None:
            raise ValueError('--fold is for prepared folders, not for --slides')
        return read_slide_table(slides, *known), []
    if input is None or slides is not None:
        raise ValueError('--input and --slides: give one of them')
    return list_jobs(input, *known, fold), input_folders(input)


def threshold_doubts(
    jobs: Sequence[Job],
    thresholds: Mapping[str, Any],
    from_file: bool,
    of_model: ImagesOfModel = ANY_IMAGES,
) -> list[str]:
    """Say for which images the threshold may be another than the user expects.

    Args:
        jobs: The images.
        thresholds: The table that is used.
        from_file: Whether the user gave the table, so that it should hold each data
            source.
        of_model: The images that the model is for.
    """
    unsaid = [job for job in jobs if not of_model.source_of(job.data_source, job.organ)]
    organs = {job.organ for job in unsaid if job.organ}
    said = [organ_alone(thresholds, name) for name in sorted(organs)]
    if from_file:
        sources = {job.data_source for job in jobs if job.data_source}
        said += [source_without_entry(thresholds, name) for name in sorted(sources)]
    return [text for text in said if text]


def input_folders(path: str) -> list[Path]:
    """Return the folder that an input is searched in; none if it is one file.

    For a pattern it is the part without wildcards.
    """
    place = Path(path)
    if place.is_file():
        return []
    if place.is_dir():
        return [place]
    fixed = takewhile(lambda part: not re.search(r'[*?[]', part), place.parts)
    return [Path(*fixed)]


def _thresholds(
    file: str | None, threshold: float | None, cfg_options: dict[str, Any] | None
) -> dict[str, Any] | None:
    if threshold is not None:
        if file is not None:
            raise ValueError('--threshold and --thresholds: give one of them')
        return {'default': threshold}
    return None if file is None else thresholds_of(Config(), file, cfg_options)
