"""Write into checkpoints how the training images were prepared, for prediction."""

from collections.abc import Iterator, Sequence
from statistics import median

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS


@HOOKS.register_module()
class KeepPreparationHook(Hook):
    """Add ``dataset_meta['preparation']`` to checkpoints.

    It holds ``size`` (longer side of the training images, px; None if they kept their
    size or several folders differ), ``pixel_size`` (um/px, None if unknown),
    ``pixel_size_by_organ`` (the same of each organ for which it is known) and
    ``stain`` (None, or the manifest's ``id``, ``order`` and ``state``). Runs before a
    checkpoint is saved (``before_save_checkpoint``); datasets that don't tell are
    passed over.
    """

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the entry."""
        found = list(preparations(runner.train_dataloader.dataset))
        if found:
            meta = checkpoint['meta'].get('dataset_meta') or {}
            checkpoint['meta']['dataset_meta'] = {**meta, 'preparation': merge(found)}


def preparations(dataset: object) -> Iterator[dict]:
    """Yield the ``preparation`` of a dataset and of those that it wraps."""
    own = getattr(dataset, 'preparation', None)
    if own is not None:
        yield own
        return
    for inner in getattr(dataset, 'datasets', [getattr(dataset, 'dataset', None)]):
        if inner is not None:
            yield from preparations(inner)


def merge(found: Sequence[dict]) -> dict:
    """Return what several folders have in common; mmengine sees to their stains."""
    sizes = {preparation['size'] for preparation in found}
    known = [p['pixel_size'] for p in found if p['pixel_size'] is not None]
    return dict(
        size=sizes.pop() if len(sizes) == 1 else None,
        pixel_size=median(known) if known else None,
        pixel_size_by_organ=_median_by_organ(found),
        stain=found[0]['stain'],
    )


def _median_by_organ(found: Sequence[dict]) -> dict[str, float]:
    by_organ: dict[str, list[float]] = {}
    for preparation in found:
        for organ, pixel_size in preparation.get('pixel_size_by_organ', {}).items():
            by_organ.setdefault(organ, []).append(pixel_size)
    return {organ: median(sizes) for organ, sizes in sorted(by_organ.items())}
