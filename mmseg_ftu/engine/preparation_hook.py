"""Write into checkpoints how the training images were prepared, for prediction."""

import logging
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_ftu.engine.safe_checkpoints import dataset_meta_of
from mmseg_ftu.recipe import Recipe

OTHERS = ('fold', 'folds_id', 'train_images')  # kept and checked by CheckFoldHook


@HOOKS.register_module()
class KeepPreparationHook(Hook):
    """Add ``dataset_meta['preparation']`` to checkpoints.

    It holds ``size`` (longer side of the training images, px; None if they kept their
    size or several folders differ), ``pixel_size`` (um/px, None if unknown),
    ``pixel_size_by_organ`` (the same of each organ for which it is known) and
    ``stain`` (None, or the manifest's ``id``, ``order`` and ``state``). Runs before a
    checkpoint is saved (``before_save_checkpoint``); datasets that don't tell are
    passed over. When resuming, mmengine warns of any difference between the entries of
    the checkpoint and those that the dataset itself has, so here the two are compared
    in full, and ours are taken out if nothing differs (``after_load_checkpoint``).
    """

    priority = 'LOW'  # after the hooks that read the entries of a checkpoint

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the entry."""
        found = merge(list(preparations(runner.train_dataloader.dataset)))
        if found:
            meta = checkpoint['meta'].get('dataset_meta') or {}
            checkpoint['meta']['dataset_meta'] = {
                **meta,
                'preparation': found.to_dict(),
            }

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Name what differs, or quieten the comparison of mmengine that follows."""
        saved = dataset_meta_of(checkpoint)
        if not saved or not runner._resume or runner._train_loop is None:
            return
        dataset = runner.train_dataloader.dataset
        here = getattr(dataset, 'metainfo', None) or {}
        changed = differences(saved, here, merge(list(preparations(dataset))))
        if changed:
            text = f'the data differ from those of the checkpoint: {", ".join(changed)}'
            print_log(f'KeepPreparationHook: {text}', 'current', logging.WARNING)
        else:
            checkpoint['meta']['dataset_meta'] = here


def differences(
    saved: dict[str, Any], metainfo: dict[str, Any], preparation: Recipe | None
) -> list[str]:
    """Say in what a checkpoint's ``dataset_meta`` differs from the data at hand.

    Args:
        saved: The entry. What an older checkpoint does not tell is not compared.
        metainfo: The ``metainfo`` of the data set.
        preparation: How its images were prepared; None if it does not tell.
    """
    there = dict(saved)
    kept = there.pop('preparation', None) or {}
    here = preparation.to_dict() if preparation else {}
    names = [k for k in {*there, *metainfo} if k not in OTHERS]
    pairs = [(k, there.get(k), metainfo.get(k)) for k in sorted(names)]
    pairs += [(f'preparation.{k}', kept[k], here.get(k)) for k in kept]
    return [f'{k} {_short(a)} -> {_short(b)}' for k, a, b in pairs if not _same(a, b)]


def _same(one: object, other: object) -> bool:
    try:
        return bool(one == other)
    except ValueError:  # arrays
        return repr(one) == repr(other)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f'{text[:60]}...'


def preparations(dataset: object) -> Iterator[Recipe]:
    """Yield the ``preparation`` of a data set and of those that it wraps."""
    own = getattr(dataset, 'preparation', None)
    if own is not None:
        yield own
        return
    for inner in getattr(dataset, 'datasets', [getattr(dataset, 'dataset', None)]):
        if inner is not None:
            yield from preparations(inner)


def merge(found: Sequence[Recipe]) -> Recipe | None:
    """Return what several folders have in common; mmengine sees to their stains."""
    if not found:
        return None
    sizes = {recipe.size for recipe in found}
    known = [recipe.pixel_size for recipe in found if recipe.pixel_size is not None]
    return Recipe(
        size=sizes.pop() if len(sizes) == 1 else None,
        pixel_size=median(known) if known else None,
        stain=found[0].stain,
        pixel_size_by_organ=_median_by_organ(found),
    )


def _median_by_organ(found: Sequence[Recipe]) -> dict[str, float]:
    by_organ: dict[str, list[float]] = {}
    for recipe in found:
        for organ, pixel_size in recipe.pixel_size_by_organ.items():
            by_organ.setdefault(organ, []).append(pixel_size)
    return {organ: median(sizes) for organ, sizes in sorted(by_organ.items())}
