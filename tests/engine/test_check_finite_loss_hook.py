"""A training that has diverged stops, says where, and saves nothing of it."""

import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmseg.registry import HOOKS, OPTIM_WRAPPERS
from tiny_run import build, hook_of, tiny_config

from mmseg_ftu.engine.check_finite_loss_hook import CheckFiniteLossHook, NonFiniteError
from mmseg_ftu.engine.safe_checkpoints import load_local

TESTS = Path(__file__).resolve().parents[1]
HOT = {'optim_wrapper.optimizer.lr': 1e30}
EMA = dict(type='EMAHook', momentum=0.5)


@HOOKS.register_module(force=True)
class SpoilHook(Hook):
    """Spoil a weight, an average, a buffer or gradients after an iteration (from 1)."""

    priority = 'LOWEST'

    def __init__(self, iteration, what, value=math.nan):
        self.iteration, self.what, self.value = iteration, what, value

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.iteration:
            for name, tensor in self.tensors(runner):
                if self.what in name:
                    tensor.data.view(-1)[0] = self.value
                    return

    def tensors(self, runner):
        yield from runner.model.named_parameters()
        yield from runner.model.named_buffers()
        for hook in runner.hooks:
            if hasattr(hook, 'ema_model'):
                for name, tensor in hook.ema_model.named_parameters():
                    yield f'ema.{name}', tensor


def assert_saved_is_finite(work_dir):
    for path in work_dir.glob('*.pth'):
        saved = load_local(path)
        for part in ('state_dict', 'ema_state_dict'):
            for name, tensor in saved.get(part, {}).items():
                assert tensor.isfinite().all(), (path, name)


def test_a_hot_learning_rate_stops_the_run(tmp_path):
    with pytest.raises(NonFiniteError) as caught:
        build(tiny_config(tmp_path, **HOT)).train()
    text = str(caught.value)
    assert 'the loss is not finite: epoch 1, iteration 2, lr=1e+30, loss=' in text
    assert 'decode.loss_bce=' in text
    assert 'aux.loss_bce=' in text
    assert 'Lower the learning rate' in text
    assert not list(tmp_path.glob('*.pth'))
    assert text in next(tmp_path.glob('*/*.log')).read_text()


def test_good_checkpoints_of_before_are_kept(tmp_path):
    spoil = dict(type='SpoilHook', iteration=5, what='stages.0.0.weight')
    runner = build(tiny_config(tmp_path, custom_hooks=[spoil]))
    with pytest.raises(NonFiniteError, match='epoch 3, iteration 6, lr='):
        runner.train()
    names = sorted(path.name for path in tmp_path.glob('epoch*.pth'))
    assert names == ['epoch_1.pth', 'epoch_2.pth']
    assert_saved_is_finite(tmp_path)


@pytest.mark.parametrize('value', [math.nan, math.inf])
@pytest.mark.parametrize(
    'what', ['stages.0.0.weight', 'ema.module.backbone', 'running_var']
)
def test_weights_averages_and_buffers_are_checked_before_saving(what, value, tmp_path):
    """Spoilt after the last loss of epoch 2, which itself is finite."""
    cfg = tiny_config(tmp_path)
    cfg.custom_hooks = [
        EMA,
        dict(type='SpoilHook', iteration=4, what=what, value=value),
    ]
    cfg.model.decode_head.norm_cfg = dict(type='BN')
    with pytest.raises(NonFiniteError, match=f'iteration 4: .*{re.escape(what)}'):
        build(cfg).train()
    assert [path.name for path in tmp_path.glob('epoch*.pth')] == ['epoch_1.pth']
    assert_saved_is_finite(tmp_path)


def test_nothing_that_is_not_finite_can_be_saved_by_hand(tmp_path):
    runner = build(tiny_config(tmp_path, custom_hooks=[]))
    runner.train()
    next(runner.model.parameters()).data[0] = math.nan
    with pytest.raises(NonFiniteError, match='not saved: backbone'):
        runner.save_checkpoint(str(tmp_path), 'by_hand.pth')
    assert not (tmp_path / 'by_hand.pth').exists()


def test_buffers_that_are_infinite_by_design_are_accepted(tmp_path):
    cfg = tiny_config(tmp_path, custom_hooks=[EMA])
    runner = build(cfg)
    runner.model.backbone.register_buffer('mask', torch.tensor([0.0, -math.inf]))
    runner.train()
    saved = load_local(tmp_path / 'epoch_4.pth')
    assert saved['state_dict']['backbone.mask'][1] == -math.inf
    assert 'module.backbone.mask' in saved['ema_state_dict']


@pytest.mark.parametrize('hook', ['ResumableCheckpointHook', 'CheckpointHook'])
def test_a_run_that_counts_iterations(hook, tmp_path):
    cfg = tiny_config(tmp_path, custom_hooks=[])
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=8, val_interval=3)
    cfg.train_dataloader.sampler.type = 'InfiniteSampler'
    cfg.param_scheduler = []
    cfg.default_hooks.checkpoint.update(type=hook, by_epoch=False, interval=2)
    cfg.default_hooks.checkpoint.update(max_keep_ckpts=-1, save_best=None)
    cfg.log_processor = dict(by_epoch=False)
    spoil = dict(type='SpoilHook', iteration=4, what='stages.0.0.weight')
    cfg.custom_hooks = [spoil]
    with pytest.raises(NonFiniteError, match=r'finite: iteration 5, lr='):
        build(cfg).train()
    names = {path.name for path in tmp_path.glob('iter*.pth')}
    assert names == {'iter_2.pth', 'iter_4.pth'}
    assert_saved_is_finite(tmp_path)
    assert load_local(tmp_path / 'iter_4.pth')['meta']['iter'] == 4


def test_the_first_iteration_is_named_though_it_is_read_later(tmp_path):
    """The note is read at the logger's interval or the end of an epoch."""
    cfg = tiny_config(tmp_path, custom_hooks=[], **HOT)
    cfg.train_dataloader.batch_size = 2  # 4 iterations an epoch
    cfg.default_hooks.logger = dict(type='LoggerHook', interval=3)
    runner = build(cfg)
    with pytest.raises(NonFiniteError, match='iteration 2, '):
        runner.train()
    assert runner.iter == 2  # 0-based: seen after the third


@OPTIM_WRAPPERS.register_module(force=True)
class ScaledOptimWrapper(OptimWrapper):
    """mmengine's AmpOptimWrapper, which refuses to run on a CPU, without autocast."""

    def __init__(self, device, **kwargs):
        super().__init__(**kwargs)
        self.loss_scaler = torch.amp.GradScaler(device)

    def backward(self, loss, **kwargs):
        self.loss_scaler.scale(loss).backward(**kwargs)
        self._inner_count += 1

    def step(self, **kwargs):
        self.loss_scaler.step(self.optimizer, **kwargs)
        self.loss_scaler.update()


class InfiniteGradientsHook(Hook):
    """Make the gradients of some iterations (from 1) infinite, or their losses NaN."""

    def __init__(self, iterations, loss=False):
        self.iterations, self.loss = iterations, loss

    def before_train(self, runner):
        self.weight = runner.model.decode_head.conv_seg.weight
        if self.loss:
            runner.model.decode_head.conv_seg.register_forward_hook(self.spoil_output)
        else:
            self.weight.register_hook(self.spoil)
        self.runner = runner

    def spoil(self, gradient):
        return gradient * math.inf if self.now() else gradient

    def spoil_output(self, module, inputs, output):
        return output * math.nan if self.now() and module.training else output

    def now(self):
        return self.runner.iter + 1 in self.iterations


def scaled_run(work_dir, iterations, accumulate=1, loss=False, max_skipped=5, **hook):
    cfg = tiny_config(work_dir, custom_hooks=[])
    cfg.train_dataloader.batch_size = 2  # 4 iterations an epoch, 16 in all
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    cfg.optim_wrapper.update(
        type='ScaledOptimWrapper', device=device, accumulative_counts=accumulate
    )
    cfg.default_hooks.check_finite.update(max_skipped=max_skipped, interval=1, **hook)
    runner = build(cfg)
    runner.register_hook(InfiniteGradientsHook(iterations, loss))
    return runner


@pytest.mark.parametrize('loss', [False, True], ids=['gradients', 'loss'])
@pytest.mark.parametrize('accumulate', [1, 2])
def test_steps_that_a_scaler_skips_are_no_error(accumulate, loss, tmp_path):
    """Four in a row, a pause, four in a row."""
    iterations = [*range(1, 5), *range(7, 11), 13]
    runner = scaled_run(tmp_path, iterations, accumulate, loss)
    runner.train()
    assert runner.epoch == 4
    assert_saved_is_finite(tmp_path)
    weight = runner.model.decode_head.conv_seg.weight
    assert runner.optim_wrapper.optimizer.state[weight]['step'] < 16 / accumulate


@pytest.mark.parametrize('accumulate', [1, 2])
def test_many_skipped_steps_in_a_row_are_an_error(accumulate, tmp_path):
    runner = scaled_run(tmp_path, range(3, 17), accumulate)
    with pytest.raises(NonFiniteError) as caught:
        runner.train()
    text = str(caught.value)
    assert text.startswith('5 steps in a row were skipped by the gradient scaler, as')
    last = 7 if accumulate == 1 else 12
    assert f'iteration {last}, lr=' in text
    assert 'down to a scale of 2.05e+03' in text  # 65536 / 2 ** 5
    assert 'loss=' in text
    assert_saved_is_finite(tmp_path)


def test_a_loss_that_is_not_finite_stops_a_scaled_run_if_its_step_is_taken(tmp_path):
    class AddNaNHook(Hook):
        """A part of the loss that no gradient comes from."""

        priority = 'HIGHEST'

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            if runner.iter == 5:
                outputs['loss_other'] = torch.tensor(math.nan)

    runner = scaled_run(tmp_path, [])
    runner.register_hook(AddNaNHook())
    with pytest.raises(NonFiniteError, match=r'iteration 6, .*loss_other=nan'):
        runner.train()


def test_skips_of_a_fused_optimizer_are_counted_on_the_device():
    """Which is called in any case, with ``found_inf``, and skips by itself."""
    from mmseg_ftu.engine.finite_notes import SkippedSteps

    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([weight], lr=0.1, fused=True)
    wrapper = ScaledOptimWrapper('cpu', optimizer=optimizer)
    skips = SkippedSteps(wrapper)
    counts = []
    for factor in (1, math.inf, math.inf, 1, math.inf):
        wrapper.update_params((weight * factor).sum() * 2)
        skips.count()
        counts.append(int(skips.in_row))
    assert counts == [0, 1, 2, 0, 1]
    assert isinstance(skips.in_row, torch.Tensor)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs an accelerator')
def test_noting_does_not_wait_for_the_accelerator(tmp_path):
    runner = build(tiny_config(tmp_path, custom_hooks=[]))
    runner.train()
    hook = hook_of(runner, CheckFiniteLossHook)
    losses = dict(loss=torch.ones((), device='cuda'))
    torch.cuda.set_sync_debug_mode('error')
    try:
        hook._note(runner, losses)
    finally:
        torch.cuda.set_sync_debug_mode('default')


@pytest.mark.parametrize('options', [dict(interval=0), dict(max_skipped=0)])
def test_useless_settings_are_refused(options):
    with pytest.raises(ValueError, match='=0, give at least 1'):
        CheckFiniteLossHook(**options)


@pytest.mark.slow
def test_all_processes_stop_together_and_go_on_from_one_file(tmp_path):
    """Only the second sees a loss that is not finite, and nobody waits for it."""
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone']
    command += ['--nproc_per_node=2', str(TESTS / 'diverging_run.py'), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode != 0
    text = 'the loss is not finite: epoch 2, iteration 3, lr='
    for rank in range(2):
        path = tmp_path / f'stopped_{rank}'
        assert path.exists(), done.stderr[-3000:]
        assert path.read_text().startswith(text)
    names = [path.name for path in tmp_path.glob('epoch*.pth')]
    assert names == ['epoch_1.pth']

    (tmp_path / 'epoch_2.pth').write_bytes(b'damaged')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_2.pth'))
    command.append('resume')
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    for rank in range(2):
        assert (tmp_path / f'resumed_{rank}').read_text() == 'epoch_1.pth 4'
