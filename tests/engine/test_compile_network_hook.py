import pytest
import torch
from mmengine.hooks import EMAHook
from tiny_run import NO_DROPOUT, build, hook_of, tiny_config

EMA = dict(type='EMAHook', momentum=0.1)


def train(folder, compiled, resume=False, stop=None):
    cfg = tiny_config(folder, **{NO_DROPOUT: 0.0})
    cfg.resume = resume
    cfg.custom_hooks.append(EMA)
    if compiled:
        cfg.custom_hooks.append(dict(type='CompileNetworkHook'))
    if stop:
        cfg.custom_hooks.append(dict(type='InterruptHook', epoch=stop))
    runner = build(cfg)
    runner.train()
    return runner


@pytest.mark.slow
def test_a_compiled_run_is_that_of_the_plain_network_and_resumes_either_way(tmp_path):
    plain = train(tmp_path / 'plain', compiled=False)
    compiled = train(tmp_path / 'compiled', compiled=True)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / 'stopped', compiled=True, stop=3)
    resumed = train(tmp_path / 'stopped', compiled=False, resume=True)
    expected = plain.model.state_dict()
    for runner in (compiled, resumed):
        found = runner.model.state_dict()
        assert list(found) == list(expected)
        for name, weight in expected.items():
            torch.testing.assert_close(found[name], weight, rtol=1e-3, atol=1e-4)
    scores = [r.message_hub.get_scalar('val/Dice').current() for r in (plain, compiled)]
    assert scores[0] == pytest.approx(scores[1], abs=0.01)
    forward = compiled.model.decode_head.forward
    assert hasattr(forward, '_torchdynamo_orig_callable')
    assert compiled.model.backbone._compiled_call_impl is not None
    averaged = hook_of(compiled, EMAHook).ema_model.module
    assert averaged.backbone._compiled_call_impl is None  # a copy made before
