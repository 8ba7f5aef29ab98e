"""Weights that are not those of the model: refused in a test, told in a training."""

import shutil

import pytest
import torch
from tiny_run import build, tiny_config

from mmseg_ftu.cli import run_command
from mmseg_ftu.engine.check_weights_hook import finite_fault, match_weights
from mmseg_ftu.engine.runner import refuse_other_run


@pytest.fixture
def trained(tmp_path):
    """A tiny run of one epoch: its folder and its checkpoint."""
    cfg = tiny_config(tmp_path / 'run')
    cfg.train_cfg.max_epochs = 1
    cfg.custom_hooks = []
    build(cfg).train()
    return tmp_path / 'run' / 'epoch_1.pth'


def scored(folder, path):
    """Test a checkpoint."""
    cfg = tiny_config(folder)
    cfg.update(
        test_dataloader=cfg.val_dataloader,
        test_evaluator=cfg.val_evaluator,
        test_cfg=dict(type='TestLoop'),
        load_from=str(path),
    )
    return build(cfg).test()


def changed(path, edit):
    checkpoint = torch.load(path, weights_only=False)
    edit(checkpoint['state_dict'])
    other = path.with_name('other.pth')
    torch.save(checkpoint, other)
    return other


def first(weights):
    return next(name for name in weights if weights[name].ndim == 4)


EDITS = {
    'empty': (lambda w: w.clear(), r'\d+ are missing'),
    'missing': (lambda w: w.pop(first(w)), r'1 are missing \('),
    'unknown': (lambda w: w.update(new=torch.zeros(1)), r'1 are unknown \(new\)'),
    'shape': (lambda w: w.update({first(w): torch.zeros(1)}), 'have another shape'),
    'nan': (lambda w: w[first(w)].fill_(torch.nan), r'1 are not finite \('),
}


@pytest.mark.parametrize('kind', EDITS)
def test_a_test_needs_the_weights_of_the_model(trained, tmp_path, kind):
    edit, message = EDITS[kind]
    other = changed(trained, edit)
    with pytest.raises(ValueError, match=rf'other\.pth: not the weights.*{message}'):
        scored(tmp_path / 'test', other)


def test_good_weights_pass_with_the_prefix_of_a_wrapper_too(trained, tmp_path):
    def prefix(weights):
        for name in [*weights]:
            weights[f'module.{name}'] = weights.pop(name)

    paths = trained, changed(trained, prefix)
    one, other = (scored(tmp_path / path.stem, path)['Dice'] for path in paths)
    assert one == other


def test_a_test_needs_no_auxiliary_head(trained, tmp_path):
    def strip(weights):
        for name in [n for n in weights if n.startswith('auxiliary_head.')]:
            del weights[name]

    def add(weights):
        weights['auxiliary_head.stems.9.weight'] = torch.zeros(1)

    paths = trained, changed(trained, strip)
    scores = [scored(tmp_path / path.stem, path)['Dice'] for path in paths]
    scores.append(scored(tmp_path / 'more', changed(trained, add))['Dice'])
    assert scores[0] == scores[1] == scores[2]


def test_nothing_that_fits_names_the_way_of_a_backbone(trained, tmp_path):
    cfg = tiny_config(tmp_path / 'more')
    cfg.load_from = str(changed(trained, EDITS['empty'][0]))
    with pytest.raises(ValueError, match=r'Nothing fits: .*backbone\.init_cfg'):
        build(cfg).train()


def test_weights_to_start_from_may_fit_in_part(trained, tmp_path, capsys):
    cfg = tiny_config(tmp_path / 'more')
    cfg.train_cfg.max_epochs = 1
    cfg.custom_hooks = []
    cfg.load_from = str(changed(trained, EDITS['missing'][0]))
    build(cfg).train()
    log = next((tmp_path / 'more').rglob('*.log')).read_text()
    assert '1 are missing' in log
    cfg.load_from = str(changed(trained, EDITS['empty'][0]))
    cfg.work_dir = str(tmp_path / 'none')
    with pytest.raises(ValueError, match='are missing'):
        build(cfg).train()


def test_a_resumed_run_needs_all(trained):
    cfg = tiny_config(trained.parent)
    cfg.train_cfg.max_epochs = 2
    cfg.custom_hooks = []
    changed(trained, EDITS['missing'][0]).replace(trained)
    cfg.resume = True
    with pytest.raises(ValueError, match='1 are missing'):
        build(cfg).train()


def test_names_and_shapes():
    one, two = torch.zeros(1), torch.zeros(2)
    assert match_weights({'a': one}, {'a': one}) == ([], 1)
    for kind in (torch.int8, torch.bool, torch.complex64, torch.float8_e4m3fn):
        faults, fitting = match_weights({'a': one.to(kind)}, {'a': one})
        assert faults == ['1 are numbers of another kind (a)']
        assert fitting == 0
    for kind in (torch.float16, torch.bfloat16, torch.float64):
        assert match_weights({'a': one.to(kind)}, {'a': one}) == ([], 1)
    faults, fitting = match_weights({'a': one, 'c': one}, {'a': two, 'b': one})
    assert fitting == 0
    assert faults == [
        '1 are missing (b)',
        '1 are unknown (c)',
        '1 have another shape (a)',
    ]


def test_parameters_and_statistics_are_finite_and_no_buffer_holds_nan():
    layer = torch.nn.BatchNorm1d(2)
    layer.register_buffer('mask', torch.tensor([-torch.inf, 0]))
    assert finite_fault(layer.state_dict(), layer) is None
    for name, value in [('bias', torch.inf), ('running_var', torch.inf)]:
        weights = layer.state_dict() | {name: torch.tensor([0, value])}
        assert finite_fault(weights, layer) == f'1 are not finite ({name})'
    weights = layer.state_dict() | dict(mask=torch.tensor([torch.nan, 0]))
    assert finite_fault(weights, layer) == '1 are not finite (mask)'


@pytest.mark.parametrize('content', [[1, 2], dict(state_dict=5), 'text'])
def test_what_is_no_checkpoint_is_named(tmp_path, content):
    torch.save(content, tmp_path / 'odd.pth')
    with pytest.raises(ValueError, match=r'odd\.pth: holds a .*, no weights'):
        scored(tmp_path / 'test', tmp_path / 'odd.pth')


def test_a_second_run_does_not_replace_the_first(trained, tmp_path, capsys):
    config = tmp_path / 'config.py'
    cfg = tiny_config(trained.parent)
    cfg.dump(config)
    before = trained.read_bytes()
    assert run_command('train', [str(config), '--work-dir', str(trained.parent)]) == 2
    assert 'go on with it by --resume' in capsys.readouterr().err
    assert trained.read_bytes() == before


def test_other_weights_in_the_work_dir_are_no_earlier_run(trained, tmp_path):
    (tmp_path / 'new').mkdir()
    shutil.copy(trained, tmp_path / 'new' / 'pretrained.pth')
    refuse_other_run(str(tmp_path / 'new'))
    shutil.copy(trained, tmp_path / 'new' / 'best_Dice_epoch_1.pth')
    with pytest.raises(ValueError, match=r'earlier run \(best_Dice_epoch_1\.pth\)'):
        refuse_other_run(str(tmp_path / 'new'))
