import pytest
import torch
from small_models import build_small, noise, save, small_config

from mmseg_ftu.engine import runner
from mmseg_ftu.engine.compile_network import check_compiler, compile_network
from mmseg_ftu.inference.network import Network


@pytest.fixture
def no_compiler(monkeypatch):
    def compile(function):
        def call(*_):
            raise RuntimeError('InvalidCxxCompiler: No working C++ compiler found')

        return call

    monkeypatch.setattr(torch, 'compile', compile)


def test_a_missing_compiler_is_said_before_anything_is_changed(no_compiler):
    with pytest.raises(OSError, match=r'No working C\+\+ compiler.*install.*--compile'):
        check_compiler('cpu')
    model = build_small(small_config())
    with pytest.raises(OSError, match='does not work here'):
        compile_network(model, 'cpu')
    assert model.backbone._compiled_call_impl is None
    assert 'forward' not in vars(model.decode_head)


def test_predict_says_that_a_compiler_is_missing(no_compiler, tmp_path):
    cfg = small_config()
    path = save(build_small(cfg), tmp_path / 'weights.pth')
    with pytest.raises(OSError, match='install a C\\+\\+ compiler'):
        Network(cfg, [path], compile=True)


@pytest.mark.slow
def test_a_compiled_network_predicts_the_same_at_each_size(tmp_path):
    cfg = small_config()
    path = save(build_small(cfg), tmp_path / 'weights.pth')
    plain, compiled = (Network(cfg, [path], compile=c) for c in (False, True))
    for size in [(32, 48), (32, 48), (40, 40), (17, 23)]:
        image = noise(*size)
        (expected,), (found,) = plain([image]), compiled([image])
        assert abs(found - expected).max() < 1e-5


def test_the_command_adds_the_hook_once(monkeypatch, tmp_path):
    built = []

    def build(cfg):
        built.append(cfg)
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, 'build_runner', build)
    monkeypatch.setattr(runner, 'refuse_unprepared_data', lambda *_: None)
    config = 'mmseg_ftu::tissue/resnet18_unet.py'
    for compiled in (False, True):
        with pytest.raises(KeyboardInterrupt):
            runner.train(config, str(tmp_path / f'{compiled}'), compile=compiled)
    plain, with_hook = (cfg.default_hooks for cfg in built)
    assert 'compile_network' not in plain
    assert with_hook.compile_network.type == 'CompileNetworkHook'
