import pytest
from mmengine.config import Config
from toy_study import CONFIGS, SWITCH, WIDTHS, write_study

from mmseg_ftu.engine.runner import load_config
from mmseg_ftu.study.run_config import config_hash, model_config, run_config

OURS = f'_base_ = {str(CONFIGS / "tissue" / "coat_slim_daformer.py")!r}\n'


@pytest.fixture
def study(tmp_path):
    """Return a function: changed keys -> study."""
    return lambda **changes: write_study(tmp_path, tmp_path / 'data', **changes)


def test_an_arm_is_the_only_difference(study):
    given = study()
    normal = model_config(given, 'slim', 'normal')._cfg_dict.to_dict()
    switch = model_config(given, 'slim', 'switch')._cfg_dict.to_dict()
    changed = {key for key in switch if normal.get(key) != switch[key]}
    assert changed == {'model', 'aux_head', 'custom_hooks', 'find_unused_parameters'}
    head = switch['model'].pop('auxiliary_head')
    assert head['in_channels'] == WIDTHS
    assert (head['type'], head['loss_weight']) == ('AuxiliaryHead', 0.2)
    assert normal['model'] == switch['model']


def test_length_pace_and_what_is_kept(study):
    cfg = model_config(study(epochs=20, curve_points=10), 'slim', 'normal')
    assert cfg.train_cfg.max_epochs == 20
    assert cfg.param_scheduler[1].end == 20
    assert cfg.train_cfg.val_interval == 2
    assert cfg.default_hooks.checkpoint.interval == 2
    assert cfg.default_hooks.checkpoint.save_best is None


def test_a_plateau_keeps_its_pace(study):
    options = dict(param_scheduler=[dict(type='ReduceOnPlateauLR', monitor='Dice')])
    cfg = model_config(
        study(epochs=40, options={**options, 'train_cfg.val_interval': 1}),
        'slim',
        'normal',
    )
    assert cfg.train_cfg.val_interval == 1
    assert cfg.default_hooks.checkpoint.interval == 10


def test_an_arm_written_for_another_length_is_scaled(study):
    switch = SWITCH | dict(base=[SWITCH['base'], 'mmseg_ftu::_base_/switch.py'])
    switch |= dict(options={}, epochs=120)  # of 120 epochs 60
    cfg = model_config(study(arms=dict(normal={}, switch=switch)), 'slim', 'switch')
    assert [p.begin for p in cfg.custom_hooks[0].schedule] == [0, 2]


def test_an_arm_that_cannot_be_scaled_is_named(study):
    phases = [dict(begin=n, in_index=0) for n in (0, 1, 2)]
    hooks = dict(custom_hooks=[dict(type='SwitchAuxHook', schedule=phases)])
    arms = dict(normal={}, switch=SWITCH | dict(options=hooks, epochs=100))
    with pytest.raises(ValueError, match='arm switch: --epochs 4: the phases of'):
        model_config(study(arms=arms), 'slim', 'switch')


def test_hooks_of_the_study_are_added(study):
    hooks = [dict(type='EMAHook')]
    cfg = model_config(study(hooks=hooks), 'slim', 'switch')
    assert [h.type for h in cfg.custom_hooks] == ['SwitchAuxHook', 'EMAHook']


def test_options_may_change_the_auxiliary_head(study):
    options = {
        **SWITCH['options'],
        'aux_head.target': 'area',
        'model.auxiliary_head.loss_weight': 0.4,
    }
    arms = dict(normal={}, switch=SWITCH | dict(options=options))
    head = model_config(study(arms=arms), 'slim', 'switch').model.auxiliary_head
    assert (head.target, head.loss_weight) == ('area', 0.4)


def test_fold_seed_and_data_reach_every_place(study, tmp_path):
    cfg = run_config(study(), 'slim', 'normal', 3, 7, tmp_path)
    for name in ('train', 'val', 'test'):
        part = cfg[f'{name}_dataloader'].dataset
        assert (part.fold, part.data_root) == (3, str(tmp_path))
    assert (cfg.fold, cfg.data_root, cfg.randomness.seed) == (3, str(tmp_path), 7)


def test_the_file_of_a_run_can_be_trained_by_hand(study, tmp_path):
    cfg = run_config(study(), 'slim', 'switch', 1, 5, tmp_path)
    cfg.dump(tmp_path / 'config.py')
    by_hand = load_config(str(tmp_path / 'config.py'))
    assert by_hand.randomness.seed == 5
    assert by_hand.train_dataloader.dataset.fold == 1
    assert config_hash(by_hand) != ''
    assert by_hand.model == cfg.model
    assert by_hand.custom_hooks == cfg.custom_hooks


def test_the_hash_is_that_of_the_training_alone(study, tmp_path):
    given = study()
    same = config_hash(model_config(given, 'slim', 'switch'))
    assert len(same) == 12
    run = run_config(given, 'slim', 'switch', 1, 9, tmp_path / 'elsewhere')
    assert config_hash(run) == same
    run.optim_wrapper.optimizer.lr = 1
    assert config_hash(run) != same


def test_configs_beside_the_study_file(study, tmp_path):
    (tmp_path / 'mine.py').write_text(OURS + 'optim_wrapper = dict(clip_grad=None)\n')
    (tmp_path / 'arm.py').write_text('randomness = dict(deterministic=True)\n')
    given = study(
        models=dict(slim='mine.py'), arms=dict(normal={}, switch=dict(base='arm.py'))
    )
    assert 'clip_grad' in model_config(given, 'slim', 'normal').optim_wrapper
    assert model_config(given, 'slim', 'switch').randomness.deterministic


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (OURS + 'stage_channels = None\n', 'the config of the model has no stage_c'),
        ('model = dict()\ntrain_cfg = dict(max_epochs=3)\n', 'no data set with a fold'),
    ],
)
def test_models_that_cannot_be_studied(study, tmp_path, content, message):
    (tmp_path / 'mine.py').write_text(content)
    given = study(models=dict(slim='mine.py'), options={})
    arm = 'normal' if 'fold' in message else 'switch'
    with pytest.raises(ValueError, match=message):
        config_hash(model_config(given, 'slim', arm))


def test_studies_leave_what_they_read_alone(study):
    given = study()
    first = config_hash(model_config(given, 'slim', 'switch'))
    cfg = model_config(given, 'slim', 'switch')
    cfg.custom_hooks[0].schedule[0].begin = 3
    cfg.model.backbone.arch = None
    assert config_hash(model_config(given, 'slim', 'switch')) == first
    assert isinstance(cfg, Config)
