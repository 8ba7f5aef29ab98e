"""Write into checkpoints how their training images were prepared, and compare with it.

Prediction finds it there and prepares new images in the same way. A test on images of
other stains is refused, and so is resuming a training on them.
"""

import logging
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_ftu.engine.safe_checkpoints import dataset_meta_of
from mmseg_ftu.recipe import UNKNOWN_STAINS, Recipe

OTHERS = ('fold', 'folds_id', 'train_images')  # kept and checked by CheckFoldHook
GO_ON = '--cfg-options default_hooks.keep_preparation.allow_other_stain=True'


@HOOKS.register_module()
class KeepPreparationHook(Hook):
    """Keep in checkpoints how images were prepared, and compare with it.

    A checkpoint carries ``dataset_meta['preparation']``, a `Recipe` of plain values,
    written before it is saved (``before_save_checkpoint``), and
    ``dataset_meta['stain']``, the name of its stain normalisation; see
    ``HuBMAPDataset``. Data sets that do not tell are passed over.

    Both are compared when a checkpoint is loaded (``after_load_checkpoint``):

    - A test or a resumed training on other stains is refused, weights to start from
      (``load_from``) are reported. Checkpoints that say nothing pass, with a line in
      the log.
    - When a training is resumed, all that differs is reported. mmengine compares too
      and would warn of each entry that a hook has added, so where nothing differs these
      are taken out.

    Args:
        allow_other_stain: Report other stains, but go on.

    Raises:
        ValueError: The stains differ.
    """

    priority = 'LOW'  # after the hooks that read the entries of a checkpoint

    def __init__(self, allow_other_stain: bool = False) -> None:
        self.allow_other_stain = allow_other_stain

    def before_save_checkpoint(
        self, runner: Runner, checkpoint: dict[str, Any]
    ) -> None:
        """Add the entry."""
        found = common_recipe(list(preparations(runner.train_dataloader.dataset)))
        if found:
            meta = checkpoint['meta'].get('dataset_meta') or {}
            kept = {**meta, 'preparation': found.to_dict()}
            checkpoint['meta']['dataset_meta'] = kept

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Compare the checkpoint with the data at hand."""
        hooks = [hook for hook in runner.hooks if isinstance(hook, KeepPreparationHook)]
        if self in hooks and self is not hooks[0]:
            return  # the first of several speaks for all
        allowed = any(hook.allow_other_stain for hook in [self, *hooks])
        _check_stains(runner, dataset_meta_of(checkpoint), allowed)
        _compare_resumed(runner, checkpoint)


@HOOKS.register_module()
class CheckStainHook(KeepPreparationHook):
    """`KeepPreparationHook` under the name that earlier configs have beside it.

    Args:
        allow_other: Report other stains, but go on.
    """

    def __init__(self, allow_other: bool = False) -> None:
        super().__init__(allow_other_stain=allow_other)


def _check_stains(runner: Runner, meta: dict[str, Any], allowed: bool) -> None:
    """Refuse or report data of other stains than those of the checkpoint."""
    trained = meta.get('stain', UNKNOWN_STAINS)
    testing = not isinstance(runner._test_loop, (dict, type(None)))
    loop = runner.test_loop if testing else runner.train_loop
    metainfo = getattr(loop.dataloader.dataset, 'metainfo', None) or {}
    here = metainfo.get('stain', UNKNOWN_STAINS)
    if trained == here:
        return
    text = f'the checkpoint was trained on stains {trained!r}, these data have {here!r}'
    strict = testing or runner._resume
    if UNKNOWN_STAINS in (trained, here) or allowed or not strict:
        print_log(f'KeepPreparationHook: {text}', 'current', logging.WARNING)
        return
    raise ValueError(
        f'{text}: prepare them in the same way (--stain, --stain-target), or go on '
        f'with {GO_ON}'
    )


def _compare_resumed(runner: Runner, checkpoint: dict[str, Any]) -> None:
    """Name what differs, or quieten the comparison of mmengine that follows."""
    saved = dataset_meta_of(checkpoint)
    if not saved or not runner._resume or runner._train_loop is None:
        return
    dataset = runner.train_dataloader.dataset
    here = getattr(dataset, 'metainfo', None) or {}
    changed = differences(saved, here, common_recipe(list(preparations(dataset))))
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


def common_recipe(found: Sequence[Recipe]) -> Recipe | None:
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
