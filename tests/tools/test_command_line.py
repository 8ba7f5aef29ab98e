"""The whole path in real processes: sample data to picture, as a user types it."""

import json
import socket

import cv2
import pandas as pd
import pytest
import torch
from command_lines import CONFIG, ROOT, SMALL, run
from mmengine.config import Config
from mmseg.registry import MODELS

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def work(tmp_path_factory):
    """A folder with a space in its name that holds prepared sample data."""
    folder = tmp_path_factory.mktemp('my work')
    run('tools/make_sample_data.py', folder / 'raw', '--images', 20, '--size', 128)
    run(
        *('tools/prepare_hubmap.py', folder / 'raw', folder / 'data'),
        *('--size', 64, '--folds', 2, '--workers', 0),
    )
    return folder


@pytest.fixture(scope='module')
def trained(work):
    """The folder of a finished training run."""
    done = run(
        *('tools/train.py', CONFIG, '--work-dir', work / 'run'),
        *('--cfg-options', *SMALL),
        data=work / 'data',
    )
    assert 'OneDL' not in done.stdout
    assert 'MultiScaleDeformableAttention' not in done.stderr
    return work / 'run'


def scalars(run_folder):
    path = sorted(run_folder.glob('*/vis_data/scalars.json'))[-1]
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_training_crosses_the_switch(trained):
    log = next(trained.glob('*/*.log')).read_text()
    assert 'Auxiliary loss switched: encoder stage 1 -> 0 (0-based) at epoch 2' in log
    assert 'no pretrained weights' in log
    lines = scalars(trained)
    train = [line for line in lines if 'aux.loss_bce' in line]
    assert [line['aux_in_index'] for line in train] == [1, 0]
    assert all(0 < line['loss'] < 10 for line in train)
    val = [line for line in lines if 'Dice' in line]
    assert len(val) == 2
    assert {'Dice/kidney', 'Dice/HPA', 'val_loss_bce'} <= set(val[0])
    assert list(trained.glob('*/vis_data/events.out.tfevents*'))
    assert list(trained.glob('best_Dice_epoch_*.pth'))


def test_resume_goes_on_and_says_when_there_is_nothing(trained, work):
    options = ['train_cfg.max_epochs=3', *SMALL[1:]]
    done = run(
        *('tools/train.py', CONFIG, '--work-dir', trained, '--resume'),
        *('--cfg-options', *options),
        data=work / 'data',
    )
    assert 'Epoch(train) [3]' in done.stdout
    assert 'Epoch(train) [2]' not in done.stdout
    assert scalars(trained)[0]['aux_in_index'] == 0
    options = ['train_cfg.max_epochs=1', 'custom_hooks=None', *SMALL[1:2], *SMALL[3:]]
    done = run(
        *('tools/train.py', CONFIG, '--work-dir', work / 'new', '--resume'),
        *('--cfg-options', *options),
        data=work / 'data',
    )
    assert 'no checkpoint in' in done.stdout


def test_a_diverging_training_ends_with_a_sentence(work):
    done = run(
        *('tools/train.py', CONFIG, '--work-dir', work / 'hot', '--cfg-options'),
        *(*SMALL, 'optim_wrapper.optimizer.lr=1e30'),
        data=work / 'data',
        check=False,
    )
    assert done.returncode == 1
    assert 'Traceback' not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith('error: the loss is not finite: epoch 1, iteration 2, ')
    assert not list((work / 'hot').glob('*.pth'))


def test_evaluation_with_tta_writes_masks_and_table_at_original_size(trained, work):
    checkpoint = next(trained.glob('best_Dice_epoch_*.pth'))
    done = run(
        *('tools/test.py', CONFIG, checkpoint, '--tta', '--out', work / 'result'),
        *('--work-dir', trained, '--cfg-options', *SMALL),
        data=work / 'data',
    )
    table = pd.read_csv(work / 'result' / 'dice_per_image.csv', dtype={'img_id': str})
    folds = pd.read_csv(work / 'data' / 'folds.csv', dtype={'id': str})
    assert sorted(table.img_id) == sorted(folds.id[folds.fold == 0])
    for name in table.img_id:
        mask = cv2.imread(str(work / 'result' / f'{name}.png'), cv2.IMREAD_UNCHANGED)
        assert mask.shape == (128, 128)
    assert f'{table.dice.mean():.4f}' in done.stdout
    done = run('tools/colour_baseline.py', work / 'data', '--result', work / 'result')
    assert 'colour Dice' in done.stdout
    assert f'{table.dice.mean():.3f}' in done.stdout


def test_show_dir_paints_predictions(trained, work):
    checkpoint = next(trained.glob('best_Dice_epoch_*.pth'))
    run(
        *('tools/test.py', CONFIG, checkpoint, '--show-dir', work / 'painted'),
        *('--work-dir', trained, '--cfg-options', *SMALL),
        data=work / 'data',
    )
    pictures = sorted(path.stem for path in (work / 'painted').glob('*.png'))
    folds = pd.read_csv(work / 'data' / 'folds.csv', dtype={'id': str})
    assert pictures == sorted(folds.id[folds.fold == 0])


@pytest.fixture
def constant(work):
    """A checkpoint that says .018 everywhere."""
    model = MODELS.build(Config.fromfile(ROOT / CONFIG).model)
    torch.nn.init.zeros_(model.decode_head.conv_seg.weight)
    bias = torch.logit(torch.tensor(0.018)).item()
    torch.nn.init.constant_(model.decode_head.conv_seg.bias, bias)
    torch.save(dict(state_dict=model.state_dict()), work / 'constant.pth')
    return work / 'constant.pth'


def test_constant_low_probability_finds_nothing_with_tta(constant, work):
    """p = .018 everywhere: mmseg's own TTA calls all of it foreground."""
    run(
        *('tools/test.py', CONFIG, constant, '--tta'),
        *('--out', work / 'constant', '--work-dir', work / 'constant_run'),
        *('--cfg-options', *SMALL),
        data=work / 'data',
    )
    masks = list((work / 'constant').glob('*.png'))
    assert len(masks) >= 8
    assert not any(cv2.imread(str(m), cv2.IMREAD_UNCHANGED).any() for m in masks)


def test_thresholds_of_a_file(constant, work):
    """The same probability with a lower threshold: all is foreground."""
    (work / 'low.json').write_text('{"HPA": {"default": 0.01}, "default": 0.01}')
    run(
        *('tools/test.py', CONFIG, constant, '--thresholds', work / 'low.json'),
        *('--out', work / 'low', '--work-dir', work / 'constant_run'),
        *('--cfg-options', *SMALL),
        data=work / 'data',
    )
    masks = list((work / 'low').glob('*.png'))
    assert len(masks) >= 8
    assert all(cv2.imread(str(m), cv2.IMREAD_UNCHANGED).all() for m in masks)


def foreground_of(folder):
    table = pd.read_csv(folder / 'dice_per_image.csv', dtype={'img_id': str})
    masks = (cv2.imread(str(folder / f'{name}.png'), -1) for name in table.img_id)
    table['all'] = [bool(mask.all()) for mask in masks]
    return table


@pytest.mark.parametrize('file', [None, 'high.json'])
def test_one_threshold_of_the_table(constant, work, file):
    """p = .018: only lungs of HPA are foreground, whose threshold is lowered."""
    (work / 'high.json').write_text('{"HPA": 0.9, "default": 0.9}')
    out = work / f'lung {file}'
    done = run(
        *('tools/test.py', CONFIG, constant, '--out', out),
        *(('--thresholds', work / file) if file else ()),
        *('--work-dir', work / 'constant_run', '--cfg-options', *SMALL),
        'test_evaluator.thresholds.HPA.lung=0.01',
        data=work / 'data',
    )
    table = foreground_of(out)
    lung = (table.organ == 'lung') & (table.data_source == 'HPA')
    assert 0 < lung.sum() < len(table)
    assert table['all'].tolist() == lung.tolist()
    assert set(table.threshold[lung]) == {0.01}
    assert set(table.threshold[~lung]) <= ({0.9} if file else {0.5, 0.4, 0.1})
    assert 'Traceback' not in done.stderr


def free_port():
    """Return the number of a port that nobody uses at the moment."""
    with socket.socket() as place:
        place.bind(('127.0.0.1', 0))
        return str(place.getsockname()[1])


def test_two_processes_by_the_launchers(trained, work):
    run(
        *('tools/dist_train.sh', CONFIG, 2, '--work-dir', work / 'two'),
        *('--cfg-options', *SMALL),
        data=work / 'data',
        PORT=free_port(),
    )
    assert [x['aux_in_index'] for x in scalars(work / 'two') if 'lr' in x] == [1, 0]
    checkpoint = next(trained.glob('best_Dice_epoch_*.pth'))
    tables = []
    for devices in (1, 2):
        out = work / f'result of {devices}'
        run(
            *('tools/dist_test.sh', CONFIG, checkpoint, devices, '--out', out),
            *('--work-dir', work / 'two', '--cfg-options', *SMALL),
            data=work / 'data',
            PORT=free_port(),
        )
        tables.append(pd.read_csv(out / 'dice_per_image.csv').sort_values('img_id'))
    assert tables[0].img_id.tolist() == tables[1].img_id.tolist()
    assert tables[0].dice.tolist() == pytest.approx(tables[1].dice.tolist(), abs=1e-6)


def test_mixed_precision_on_a_cpu(work):
    """In bfloat16, in another number of epochs; what follows is seen in the log."""
    if torch.cuda.is_available():
        pytest.skip('this machine has an accelerator')
    done = run(
        *('tools/train.py', CONFIG, '--amp', '--epochs', '2'),
        *('--work-dir', work / 'amp', '--cfg-options', *SMALL),
        data=work / 'data',
    )
    assert 'training computes in bfloat16 (cpu)' in done.stdout
    assert (work / 'amp' / 'epoch_2.pth').is_file()


def test_data_that_are_not_prepared_are_named(work):
    done = run(
        *('tools/train.py', CONFIG, '--work-dir', work / 'none'),
        data=work / 'nothing here',
        check=False,
    )
    assert done.returncode != 0
    assert 'Prepare it with `mmseg-ftu prepare hubmap' in done.stderr
