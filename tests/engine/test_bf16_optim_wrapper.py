"""bfloat16 on a CPU: where it is used, what stays in float32, and resuming."""

from functools import partial

import pytest
import torch
from mmengine.optim import OptimWrapper
from tiny_run import build, tiny_config
from torch import nn

from mmseg_ftu.engine.bf16_optim_wrapper import Bf16OptimWrapper, computes_bf16
from mmseg_ftu.engine.runner import use_amp


def wrapped(**options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 1, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return model, Bf16OptimWrapper(optimizer=optimizer, **options)


@pytest.mark.parametrize(
    ('when', 'dtype'),
    [
        ('always', torch.bfloat16),
        ('never', torch.float32),
        ('auto', torch.bfloat16 if computes_bf16('cpu') else torch.float32),
    ],
)
def test_where_it_is_used(when, dtype):
    model, wrapper = wrapped(when=when)
    with wrapper.optim_context(model):
        out = model(torch.rand(2, 3, 8, 8))
    assert out.dtype == dtype
    out.float().mean().backward()
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert {p.grad.dtype for p in model.parameters()} == {torch.float32}


def test_a_wrong_word_is_named():
    with pytest.raises(ValueError, match="when='sometimes': expected one of"):
        wrapped(when='sometimes')


def test_an_unknown_device_takes_float32():
    assert computes_bf16('meta') is False


def test_accumulation_steps_as_often_as_mmengines_own():
    steps = {}
    for kind in (partial(Bf16OptimWrapper, when='never'), OptimWrapper):
        model, wrapper = wrapped()
        wrapper = kind(optimizer=wrapper.optimizer, accumulative_counts=3)
        wrapper.initialize_count_status(model, 0, 7)
        weights = []
        for i in range(7):
            with wrapper.optim_context(model):
                loss = model(torch.full((2, 3, 8, 8), float(i))).mean()
            wrapper.update_params(loss)
            weights.append(model[0].weight.detach().clone())
        steps[kind] = weights
    for ours, theirs in zip(*steps.values(), strict=True):
        assert torch.equal(ours, theirs)


def test_training_learns_and_resumes_to_the_bit(tmp_path):
    def run(folder, resume=False, stop=None):
        cfg = tiny_config(tmp_path / folder)
        cfg.optim_wrapper.type = 'Bf16OptimWrapper'
        cfg.optim_wrapper.when = 'always'
        cfg.resume = resume
        if stop:
            cfg.custom_hooks.append(dict(type='InterruptHook', epoch=stop))
        runner = build(cfg)
        runner.train()
        return runner.model.state_dict()

    whole = run('whole')
    with pytest.raises(KeyboardInterrupt):
        run('stopped', stop=3)
    resumed = run('stopped', resume=True)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert {w.dtype for w in whole.values() if w.is_floating_point()} == {torch.float32}


def test_amp_on_a_cpu_takes_the_place_of_loss_scaling(tmp_path):
    if torch.cuda.is_available():
        pytest.skip('this machine has an accelerator')
    cfg = tiny_config(tmp_path)
    cfg.optim_wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')
    use_amp(cfg)
    wrapper = build(cfg).build_optim_wrapper(cfg.optim_wrapper)
    assert isinstance(wrapper, Bf16OptimWrapper)
    assert wrapper.enabled
