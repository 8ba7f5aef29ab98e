"""The best checkpoints of a run: a new one is written before the old one is deleted.

mmengine (0.10) deletes the old best checkpoint first, and by an absolute path, which in
a copied work dir is that of the original run.
"""

import math
import os
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmseg_ftu.engine.checkpoint_files import numbered_files, step_pattern, warn
from mmseg_ftu.engine.safe_checkpoints import load_local


class BestCheckpointHook(CheckpointHook):
    """The part of ``ResumableCheckpointHook`` that ranks and keeps the best.

    ``superseded`` holds, for each metric, the best checkpoints of this run that are to
    be deleted, by epoch (or iteration): they go once a newer state has been saved. A
    killed run may leave one; it is recognised by the ``run_id`` in its message hub,
    which resumed runs inherit. Files of other runs in the folder are left alone.
    """

    superseded: dict[str, dict[int, str]]

    def find_best(self, runner: Runner, key: str) -> None:
        """Bring what a resumed state says of the best of a metric up to date.

        The path is looked for in the folder of this run. If the file is gone, which
        happens when an older epoch is resumed than the one that was saved with it, a
        later one of this run takes its place, or the ranking begins anew.
        """
        self.superseded[key] = {}
        score_name, path_name = self._names(key)
        hub = runner.message_hub
        named = hub.get_info(path_name)
        if named is not None:
            named = self.file_backend.join_path(self.out_dir, os.path.basename(named))
            self._note(runner, key, hub.get_info(score_name), named)
        if not is_main_process():
            return
        own = self._own_files(runner, key)
        if named is not None and not self.file_backend.isfile(named):
            if own:
                info = hub_of(own[max(own)])
                score, named = info[score_name], own.pop(max(own))
                warn(f'the best checkpoint by {key} is now {named} ({score:.4f})')
                self._note(runner, key, score, named)
            else:
                warn(f'{named} is not there, so the ranking by {key} begins anew')
                hub.pop_info(score_name)
                hub.pop_info(path_name)
                self._note_path(key, None)
        self.superseded[key] = {s: p for s, p in own.items() if p != named}

    def _own_files(self, runner: Runner, key: str) -> dict[int, str]:
        """Return the best checkpoints by a metric that this run has written."""
        if not isinstance(self.file_backend, LocalBackend):
            return {}
        pattern = step_pattern(self.filename_tmpl, f'best_{key}_'.replace('/', '_'))
        files = numbered_files(Path(self.out_dir), pattern)
        run = runner.message_hub.get_info('run_id')
        paths = {step: str(path) for step, path in files.items()}
        return {s: p for s, p in paths.items() if hub_of(p).get('run_id') == run}

    def save_best_checkpoints(self, runner: Runner, metrics: dict[str, Any]) -> bool:
        """Write a checkpoint for each metric that is better than ever before.

        Raises:
            ValueError: If ``save_best`` is not one of the metrics.
        """
        if not self.save_best or not metrics:
            return False
        if 'auto' in self.key_indicators:
            self._init_rule(self.rules, [next(iter(metrics))])
        improved = False
        for key, rule in zip(self.key_indicators, self.rules, strict=True):
            if key not in metrics:
                raise ValueError(
                    f'save_best={key!r} is not a metric of the validation: choose '
                    f'from {", ".join(metrics)}'
                )
            if key not in self.superseded:
                self.find_best(runner, key)
            score, score_name = metrics[key], self._names(key)[0]
            if score is None:
                continue
            score = float(score)  # a number of numpy's would bloat the checkpoint
            best = runner.message_hub.get_info(score_name, self.init_value_map[rule])
            if not math.isfinite(score):
                warn(f'{key} is {score}: this epoch is not ranked')
            elif self.is_better_than[key](score, best):
                self._write_best(runner, key, score)
                improved = True
        return improved

    def _write_best(self, runner: Runner, key: str, score: float) -> None:
        kind, step = ('epoch', runner.epoch) if self.by_epoch else ('iter', runner.iter)
        name = f'best_{key}_{self.filename_tmpl.format(step)}'.replace('/', '_')
        old = runner.message_hub.get_info(self._names(key)[1])
        path = self.file_backend.join_path(self.out_dir, name)
        self._note(runner, key, score, path)
        runner.save_checkpoint(
            self.out_dir,
            filename=name,
            file_client_args=self.file_client_args,
            save_optimizer=False,
            save_param_scheduler=False,
            meta=dict(epoch=runner.epoch, iter=runner.iter),
            by_epoch=False,
            backend_args=self.backend_args,
        )
        if old is not None:
            pattern = step_pattern(self.filename_tmpl, f'best_{key}_'.replace('/', '_'))
            match = pattern.fullmatch(os.path.basename(old))
            self.superseded[key][int(match[1]) if match else 0] = old
        runner.logger.info(
            f'The best checkpoint with {score:0.4f} {key} at {step} {kind} is saved to '
            f'{name}.'
        )

    def remove_superseded(self, runner: Runner) -> None:
        """Delete the best checkpoints that a newer one has replaced."""
        now = runner.epoch if self.by_epoch else runner.iter
        for key, files in getattr(self, 'superseded', {}).items():
            best = runner.message_hub.get_info(self._names(key)[1])
            for step in [step for step in files if step <= now]:
                path = files.pop(step)
                if path != best:
                    self.remove(path)

    def remove(self, path: str) -> None:
        """Delete a checkpoint if it is there; DeepSpeed's are folders."""
        if not is_main_process():
            return
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)
        elif self.file_backend.isdir(path):
            self.file_backend.rmtree(path)

    def _names(self, key: str) -> tuple[str, str]:
        """Return mmengine's names for score and path of the best by a metric."""
        end = '' if len(self.key_indicators) == 1 else f'_{key}'
        return f'best_score{end}', f'best_ckpt{end}'

    def _note(self, runner: Runner, key: str, score: float, path: str) -> None:
        score_name, path_name = self._names(key)
        runner.message_hub.update_info(score_name, score)
        runner.message_hub.update_info(path_name, path)
        self._note_path(key, path)

    def _note_path(self, key: str, path: str | None) -> None:
        if len(self.key_indicators) == 1:
            self.best_ckpt_path = path
        else:
            self.best_ckpt_path_dict[key] = path


def hub_of(path: str) -> dict[str, Any]:
    """Return what a checkpoint keeps in its message hub, {} if it is unreadable."""
    try:
        checkpoint = load_local(path, 'meta')
    except (ValueError, OSError) as error:
        warn(str(error))
        return {}
    hub = checkpoint.get('message_hub') if isinstance(checkpoint, dict) else None
    return hub.get('runtime_info', {}) if isinstance(hub, dict) else {}
