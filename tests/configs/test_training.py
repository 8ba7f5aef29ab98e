"""Each of the seven models trains across the switch in a real Runner, and is tested."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmseg_ftu.engine.runner import build_runner

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'ftu'
SWITCHED = sorted(CONFIGS.glob('*_switch.py'))
SIZE = 64


def shrink(value):
    """Replace 768 x 768 by a small size, wherever it stands."""
    if isinstance(value, dict):
        for key in value:
            value[key] = shrink(value[key])
        return value
    if isinstance(value, (list, tuple)):
        if list(value) == [768, 768]:
            return (SIZE, SIZE)
        return type(value)(shrink(item) for item in value)
    return value


def small_run(path: Path, data: Path, work_dir: Path) -> Config:
    cfg = Config.fromfile(path)
    shrink(cfg._cfg_dict)
    cfg.work_dir = str(work_dir)
    cfg.model.backbone.init_cfg = None
    for kind in ('train', 'val', 'test'):
        loader = cfg[f'{kind}_dataloader']
        loader.update(num_workers=0, persistent_workers=False)
        loader.dataset.data_root = str(data)
    cfg.train_cfg.max_epochs = 2
    cfg.custom_hooks[0].schedule[1].begin = 1
    cfg.log_level = 'WARNING'
    cfg.experiment_name = f'{path.stem}_{work_dir.parent.name}'
    return cfg


@pytest.mark.slow
@pytest.mark.parametrize('path', SWITCHED, ids=lambda p: p.stem)
def test_trains_across_the_switch(path, make_prepared, tmp_path):
    assert len(SWITCHED) == 7
    cfg = small_run(path, make_prepared(size=SIZE), tmp_path / 'run')
    runner = build_runner(cfg)
    stages = runner.message_hub
    runner.train()
    indices = stages.get_scalar('train/aux_in_index').data[0]
    assert set(indices.tolist()) == {0, 1}
    checkpoint = torch.load(tmp_path / 'run' / 'epoch_2.pth', weights_only=False)
    assert checkpoint['meta']['dataset_meta']['stain'] == 'none'
    cfg.load_from = str(tmp_path / 'run' / 'epoch_2.pth')
    cfg.experiment_name += '_test'
    metrics = build_runner(cfg).test()
    assert 0 <= metrics['Dice'] <= 1
    assert metrics['val_loss_bce'] > 0
