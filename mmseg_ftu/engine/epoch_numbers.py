"""Epochs that hooks are given: a number, or a share of the run."""

from typing import Any

from mmengine.runner import EpochBasedTrainLoop, Runner


def is_epoch(given: Any) -> bool:
    """Tell whether something names an epoch: an integer from 0 on, or a share."""
    return (type(given) is int and given >= 0) or is_share(given)


def is_share(given: Any) -> bool:
    """Tell whether something is a share of the run, a float between 0 and 1."""
    return isinstance(given, float) and 0 < given < 1


def epoch_of(given: float, max_epochs: int) -> int:
    """Return the epoch (0-based) that a number or a share means.

    Args:
        given: Epoch as an integer, or share of the run as a float between 0 and 1,
            which is rounded to whole epochs, to 1 at least.
        max_epochs: Number of epochs of the run.
    """
    return max(1, round(given * max_epochs)) if is_share(given) else int(given)


def require_epochs(runner: Runner, hook: str) -> None:
    """Raise ValueError if a run counts iterations: its epoch hooks run only once.

    Args:
        runner: The runner of the training.
        hook: How the message calls the hook that needs epochs.
    """
    if not isinstance(runner.train_loop, EpochBasedTrainLoop):
        raise ValueError(
            f'{hook} counts epochs, but the training loop is '
            f'{type(runner.train_loop).__name__}: use '
            "train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=...)"
        )
