"""The metric: per image, by organ and source, in tables and files."""

import csv

import cv2
import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmseg.registry import METRICS

from mmseg_ftu.evaluation.ftu_dice_metric import format_table, mean_scores


def sample(name, organ, source, probability, mask, loss=None):
    result = dict(
        img_id=name,
        img_path=f'{name}.png',
        organ=organ,
        data_source=source,
        seg_logits=dict(data=torch.tensor(probability)[None]),
        gt_sem_seg=dict(data=torch.tensor(mask)[None]),
    )
    return result if loss is None else result | dict(val_loss_bce=loss)


# probability 0.3 is foreground for Hubmap lung (0.1) and HPA lung (0.15) only
FIXTURES = [
    sample('a', 'lung', 'HPA', [[0.3, 0.3], [0.0, 0.0]], [[1, 1], [0, 0]], 0.1),
    sample('b', 'kidney', 'HPA', [[0.3, 0.6], [0.0, 0.0]], [[1, 1], [0, 0]], 0.2),
    sample('c', 'kidney', 'Hubmap', [[0.45, 0.3], [0.0, 0.0]], [[1, 1], [0, 0]], 0.3),
    sample('d', 'spleen', 'Hubmap', [[0.3, 0.3], [0.3, 0.3]], [[0, 0], [0, 0]], 0.4),
    sample('e', 'spleen', 'Hubmap', [[0.9, 0.9], [0.9, 0.1]], [[1, 0], [255, 0]], 0.6),
]
DICE = dict(a=1.0, b=2 / 3, c=2 / 3, d=1.0, e=2 / 3)


def evaluate(samples=FIXTURES, **options):
    metric = METRICS.build(dict(type='FTUDiceMetric', **options))
    for each in samples:
        metric.process({}, [each])
    return metric.evaluate(len(samples))


def test_means_over_images_organs_and_sources():
    metrics = evaluate()
    assert metrics == pytest.approx(
        {
            'Dice': sum(DICE.values()) / 5,
            'Dice/kidney': 2 / 3,
            'Dice/lung': 1.0,
            'Dice/spleen': (1 + 2 / 3) / 2,
            'Dice/HPA': (1 + 2 / 3) / 2,
            'Dice/Hubmap': (2 / 3 + 1 + 2 / 3) / 3,
            'val_loss_bce': 0.32,
        }
    )


def test_each_image_counts_once_whatever_its_size():
    big = np.zeros((200, 200), np.float32)
    small = np.ones((2, 2), np.float32)
    pair = [
        sample('big', None, None, big, np.ones((200, 200), np.int64)),
        sample('small', None, None, small, np.ones((2, 2), np.int64)),
    ]
    assert evaluate(pair) == {'Dice': 0.5}


def test_thresholds_come_from_the_config():
    assert evaluate(thresholds={'default': 0.05})['Dice/lung'] == 1
    assert evaluate(thresholds={'default': 0.95})['Dice/lung'] == 0


def test_csv_and_masks_on_request(tmp_path):
    evaluate(output_dir=str(tmp_path / 'out'), keep_results=True)
    with (tmp_path / 'out' / 'dice_per_image.csv').open() as stream:
        rows = list(csv.DictReader(stream))
    assert {row['img_id']: float(row['dice']) for row in rows} == pytest.approx(DICE)
    assert rows[0]['threshold'] == '0.15'
    mask = cv2.imread(str(tmp_path / 'out' / 'b.png'), cv2.IMREAD_UNCHANGED)
    assert mask.tolist() == [[0, 1], [0, 0]]
    evaluate(csv_file=str(tmp_path / 'only.csv'))
    assert sorted(p.name for p in tmp_path.iterdir()) == ['only.csv', 'out']


def test_masks_never_land_in_a_folder_of_others(tmp_path):
    out = tmp_path / 'out'
    evaluate(output_dir=str(out))
    before = (out / 'b.png').read_bytes()
    evaluate(output_dir=str(out))  # again
    assert (out / 'b.png').read_bytes() == before
    truth = tmp_path / 'masks'
    truth.mkdir()
    (truth / 'b.png').write_bytes(b'ground truth')
    with pytest.raises(ValueError, match='masks is not empty and was not made'):
        evaluate(output_dir=str(truth))
    (truth / 'table.csv').write_text('id,rle\n')
    with pytest.raises(ValueError, match=r'table\.csv is there already'):
        evaluate(csv_file=str(truth / 'table.csv'))
    assert (truth / 'b.png').read_bytes() == b'ground truth'
    (out / 'a.png').unlink()
    (out / '.written_by_mmseg_ftu').write_text('b.png\ndice_per_image.csv\n')
    (out / 'a.png').write_bytes(b'mine')
    with pytest.raises(ValueError, match=r'a\.png is in the way'):
        evaluate(output_dir=str(out))
    assert (out / 'a.png').read_bytes() == b'mine'


def test_sizes_that_differ_name_the_image():
    wrong = sample('x', None, None, np.zeros((4, 4), np.float32), [[0, 1], [0, 0]])
    with pytest.raises(ValueError, match=r'x: prediction .* RestoreOriginalShape'):
        evaluate([wrong])


def test_an_image_that_comes_twice_counts_once():
    """Samplers repeat images, so that all processes have equally many."""
    metric = METRICS.build(dict(type='FTUDiceMetric'))
    for each in (FIXTURES[0], FIXTURES[0], FIXTURES[1]):
        metric.process({}, [each])
    assert metric.evaluate(2)['Dice'] == pytest.approx((1 + 2 / 3) / 2)


def test_images_of_one_name_are_refused_where_files_are_written(tmp_path):
    pair = [FIXTURES[0], FIXTURES[1] | dict(img_id='a')]  # of other folders
    assert evaluate(pair)['Dice'] == pytest.approx((1 + 2 / 3) / 2)
    with pytest.raises(ValueError, match=r'several images are named a: .* one folder'):
        evaluate(pair, output_dir=str(tmp_path))


def test_an_older_table_stays_when_writing_fails(tmp_path, monkeypatch):
    path = tmp_path / 'dice_per_image.csv'
    evaluate(csv_file=str(path))
    before = path.read_bytes()

    def full(fd):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('os.fsync', full)
    with pytest.raises(OSError, match='No space left'):
        evaluate(FIXTURES[:1], csv_file=str(path))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_samples_are_left_as_they_are():
    before = FIXTURES[4]['seg_logits']['data'].clone()
    evaluate()
    assert torch.equal(before, FIXTURES[4]['seg_logits']['data'])


def test_table_shows_every_group_and_the_worst_image():
    rows = [
        dict(img_id='a', organ='lung', data_source='HPA', dice=0.25, val_loss_bce=None),
        dict(img_id='b', organ='lung', data_source='HPA', dice=0.75, val_loss_bce=None),
        dict(
            img_id='c', organ='kidney', data_source='HPA', dice=1.0, val_loss_bce=None
        ),
    ]
    lines = [line.split() for line in format_table(rows).splitlines()]
    cells = {
        line[1]: [x for x in line[2:] if x != '|'] for line in lines if len(line) > 2
    }
    assert cells['lung'] == ['2', '0.5000', '0.5000', '0.2500', 'a']
    assert cells['all'] == ['3', '0.6667', '0.7500', '0.2500', 'a']
    assert 'val_loss_bce' not in mean_scores(rows)


def test_in_an_evaluator_with_data_samples(tmp_path):
    """Through mmengine, from SegDataSample objects."""
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    element = SegDataSample(
        gt_sem_seg=PixelData(data=torch.ones(1, 4, 4, dtype=torch.int64)),
        seg_logits=PixelData(data=torch.ones(1, 4, 4)),
    )
    element.set_metainfo(dict(img_id='z', organ='lung', data_source='HPA'))
    evaluator = Evaluator(METRICS.build(dict(type='FTUDiceMetric')))
    evaluator.process([element])
    assert evaluator.evaluate(1)['Dice'] == 1


def test_nan_is_not_scored_as_an_empty_mask():
    nan = float('nan')
    bad = sample('n', 'spleen', 'HPA', [[nan, 0.0], [0.0, 0.0]], [[0, 0], [0, 0]])
    metrics = evaluate([FIXTURES[0], bad])
    assert np.isnan(metrics['Dice'])
    assert np.isnan(metrics['Dice/spleen'])
    assert metrics['Dice/lung'] == 1
