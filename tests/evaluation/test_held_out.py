"""Training images are known by what checkpoints tell, not by what a user typed."""

import json

import numpy as np
import pytest
import tifffile

from mmseg_ftu.datasets import HuBMAPDataset
from mmseg_ftu.datasets.fold_record import fold_record
from mmseg_ftu.evaluation.evaluate import compare
from mmseg_ftu.evaluation.fit_thresholds import fit_and_write, fit_thresholds
from mmseg_ftu.evaluation.mask_sources import open_masks

IDS = [str(100 + i) for i in range(6)]  # in the folds 0, 1, 2, 0, 1, 2


@pytest.fixture
def prepared(make_prepared):
    return make_prepared(n=6, folds=3)


def record_of(prepared, fold, split='train', *leave_out):
    """What a checkpoint keeps of its training."""
    record = fold_record(HuBMAPDataset(str(prepared), fold=fold, split=split))
    return {key: record[key] for key in record if key not in leave_out}


def predict(prepared, folder, names, *checkpoints, **settings):
    """A folder of perfect predictions, as prediction by these checkpoints leaves it."""
    truth = open_masks(prepared)
    (folder / 'probabilities').mkdir(parents=True)
    for name in names:
        levels = (truth.mask(name) * 200).astype(np.uint8)
        for kind in ('probabilities', 'masks'):
            (folder / kind).mkdir(exist_ok=True)
            tifffile.imwrite(folder / kind / f'{name}.tif', levels)
    rows = [f'{name},{truth.table.data_source[name]},96,96,done' for name in names]
    header = 'id,data_source,height,width,status'
    (folder / 'predictions.csv').write_text('\n'.join([header, *rows]) + '\n')
    entries = [dict(path=f'run{i}/best.pth') | c for i, c in enumerate(checkpoints)]
    about = dict(checkpoints=entries, **settings)
    (folder / 'prediction.json').write_text(json.dumps(about))
    return folder


KINDS = {  # by what a checkpoint knows its images
    'images': ('fold', 'folds_id'),
    'folds': ('train_images',),
    'both': (),
}


@pytest.mark.parametrize('kind', KINDS)
def test_training_images_are_refused_whatever_was_typed(prepared, tmp_path, kind):
    record = record_of(prepared, 0, 'train', *KINDS[kind])
    folder = predict(prepared, tmp_path / 'p', IDS[:4], record, fold=1)
    with pytest.raises(ValueError, match=r'2 of these images: 101, 102; predict each'):
        fit_thresholds(prepared, [folder])


@pytest.mark.parametrize('kind', KINDS)
def test_predictions_out_of_fold_are_fitted(prepared, tmp_path, kind):
    folders = [
        predict(
            prepared,
            tmp_path / str(fold),
            IDS[fold::3],
            record_of(prepared, fold, 'train', *KINDS[kind]),
        )
        for fold in range(3)
    ]
    text = fit_and_write(prepared, folders, tmp_path / 't.json')
    assert 'CAUTION' not in text
    content = json.loads((tmp_path / 't.json').read_text())
    assert sum(row['images'] for row in content['fitted']) == 6
    assert content['notes'] == []


@pytest.mark.parametrize('kind', KINDS)
def test_an_ensemble_of_folds_has_seen_every_image(prepared, tmp_path, kind):
    checkpoints = [record_of(prepared, f, 'train', *KINDS[kind]) for f in (0, 1)]
    for number, name in enumerate(IDS):
        folder = predict(prepared, tmp_path / name, [name], *checkpoints)
        with pytest.raises(ValueError, match=rf'was trained on 1 of .*: {name}'):
            fit_thresholds(prepared, [folder])
        own = checkpoints[:1] * 2  # two runs that held out the same fold
        if number % 3 == 0:
            same = predict(prepared, tmp_path / f'same {name}', [name], *own)
            assert fit_thresholds(prepared, [same])[0]


@pytest.mark.parametrize('kind', KINDS)
def test_a_checkpoint_trained_on_all_images(prepared, tmp_path, kind):
    record = record_of(prepared, 0, 'all', *KINDS[kind])
    folder = predict(prepared, tmp_path / 'p', IDS[::3], record, fold=0)
    with pytest.raises(ValueError, match='2 of these images: 100, 103'):
        fit_thresholds(prepared, [folder])


def test_training_images_are_known_in_any_layout_of_the_truth(prepared, tmp_path):
    record = record_of(prepared, 0)
    folder = predict(prepared, tmp_path / 'p', IDS[:2], record)
    with pytest.raises(ValueError, match='1 of these images: 101'):
        fit_thresholds(prepared / 'masks_original', [folder], (1,), 255)


def test_organs_left_out_of_training_are_held_out(prepared, tmp_path):
    data = HuBMAPDataset(str(prepared), fold=0, organs=['lung'])
    folder = predict(prepared, tmp_path / 'p', ['102', '105'], fold_record(data))
    assert set(open_masks(prepared).table.organ[['102', '105']]) == {'spleen'}
    assert fit_thresholds(prepared, [folder])[1] == [
        '4 images of the truth have no prediction'
    ]


@pytest.mark.parametrize(
    ('checkpoints', 'reason'),
    [
        ([], 'the checkpoints do not say what they were trained on'),
        ([{}], 'the checkpoints do not say what they were trained on'),
        (
            [{'fold': 0, 'folds_id': 'another'}],
            'Predict again with the --data-source',
        ),
    ],
)
def test_what_nothing_is_known_of_is_told_loudly(
    prepared, tmp_path, checkpoints, reason
):
    folder = predict(prepared, tmp_path / 'p', IDS[:1], *checkpoints, fold=0)
    text = fit_and_write(prepared, [folder], tmp_path / 't.json')
    assert 'CAUTION: ' in text
    assert 'whether 1 of 1 images were held out from training (100)' in text
    assert reason in text
    (note,) = json.loads((tmp_path / 't.json').read_text())['notes'][1:]
    assert note in text


def test_one_member_that_says_nothing_leaves_the_ensemble_unknown(prepared, tmp_path):
    record = record_of(prepared, 0)
    folder = predict(prepared, tmp_path / 'p', IDS[:1], record, {})
    assert 'CAUTION' in fit_thresholds(prepared, [folder])[1][-1]
    folder = predict(prepared, tmp_path / 'q', IDS[:2], record, {})
    with pytest.raises(ValueError, match='1 of these images: 101'):
        fit_thresholds(prepared, [folder])


def test_scores_of_training_images_are_marked(prepared, tmp_path):
    folder = predict(prepared, tmp_path / 'p', IDS, record_of(prepared, 0))
    notes = compare(folder, prepared, with_hd95=False).notes
    assert notes == [
        'CAUTION: run0/best.pth (held out fold 0) was trained on 4 of these images: '
        '101, 102, 104, 105; their scores say nothing about new images'
    ]
    assert compare(folder, prepared, with_hd95=False, fold=0).notes == []


def test_images_without_a_data_source_are_doubted(prepared, tmp_path):
    """They can't be told from images of other data, and are not passed over."""
    record = record_of(prepared, 0, 'train', 'fold', 'folds_id')
    folder = predict(prepared, tmp_path / 'p', IDS, record)
    rows = [f'{name},96,96,done' for name in IDS]
    table = '\n'.join(['id,height,width,status', *rows]) + '\n'
    (folder / 'predictions.csv').write_text(table)
    notes = compare(folder, prepared / 'masks_original', with_hd95=False).notes
    (note,) = (note for note in notes if 'held out' in note)
    assert note.startswith('nothing says whether 6 of 6 images were held out')
    assert '--data-source' in note
