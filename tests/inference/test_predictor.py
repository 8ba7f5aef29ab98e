import json
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from mmengine.config import Config
from mmseg.registry import MODELS
from sections import full_section, on_glass, section
from small_models import (
    build_small,
    constant,
    dark,
    noise,
    save,
    section_target,
    small_config,
)

from mmseg_ftu import FTUPredictor
from mmseg_ftu.inference.choices import VIEWS
from mmseg_ftu.inference.jobs import Job, list_jobs
from mmseg_ftu.inference.loaded_image import TiledImage, WholeImage
from mmseg_ftu.io.images import read_image
from mmseg_ftu.io.resizing import resize_image
from mmseg_ftu.io.sources import Limits, open_source
from mmseg_ftu.preparation.competition import prepare_hubmap
from mmseg_ftu.preparation.staining import fit_stain_step
from mmseg_ftu.recipe import ORDERS, Recipe
from mmseg_ftu.sample_tissue import write_sample_data
from mmseg_ftu.stain import load_target

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def predictor(tmp_path):
    """Return a function: model, what the checkpoint says, arguments -> predictor."""

    def make(
        model, cfg=None, size=None, pixel_size=None, stain=None, organs=None, **kwargs
    ):
        recipe = Recipe(size, pixel_size, stain, organs or {})
        path = save(model, tmp_path / 'model.pth', preparation=recipe.to_dict())
        kernel_size = model.backbone.conv.kernel_size[0]
        return FTUPredictor(cfg or small_config(kernel_size), path, **kwargs)

    return make


def tissue(height=300, width=420):
    """Pale tissue with dark discs, and glass on the right."""
    rng = np.random.default_rng(0)
    image = np.full((height, width, 3), (215, 180, 205), np.uint8)
    for _ in range(25):
        y, x = int(rng.integers(height)), int(rng.integers(width * 2 // 3))
        cv2.circle(image, (x, y), int(rng.integers(6, 22)), (110, 60, 140), -1)
    image = cv2.GaussianBlur(image, (0, 0), 1.5)
    image[:, width * 3 // 4 :] = 245
    return image


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


@pytest.mark.parametrize('mode', ['whole', 'tiles'])
def test_a_faint_answer_stays_empty(predictor, mode):
    found = predictor(
        constant(small_config(), 0.018),
        size=96,
        views=list(VIEWS),
        scales=(0.75, 1.0, 1.25),
        mode=mode,
        training_pixel_size=1,
    )(tissue(), pixel_size=1.2)
    assert found.mask.shape == (300, 420)
    assert found.mask.max() == 0
    assert found.probability.max() < 0.019


@pytest.mark.parametrize(
    ('source', 'organ', 'threshold'),
    [
        ('HPA', 'kidney', 0.5),
        ('HPA', 'lung', 0.15),
        ('Hubmap', 'spleen', 0.4),
        ('Hubmap', 'Lung', 0.1),
        ('hubmap', 'lung', 0.1),
        ('Elsewhere', 'lung', 0.5),
        (None, None, 0.5),
    ],
)
def test_thresholds_are_the_papers(predictor, source, organ, threshold):
    below, above = (
        predictor(constant(small_config(), p))(noise(64, 64), organ, source)
        for p in (threshold - 0.01, threshold + 0.01)
    )
    assert below.threshold == above.threshold == threshold
    assert below.mask.max() == 0
    assert above.mask.min() == 1


def test_an_image_is_resized_and_its_probability_brought_back(predictor):
    model, image = build_small(small_config()), tissue()
    predict = predictor(model, size=210)
    found = predict(image)
    (small,) = predict.network([resize_image(image, (150, 210))])
    expected = cv2.resize(small, (420, 300), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(found.probability, expected, atol=1e-5)
    assert (found.mask == (found.probability > 0.5)).all()
    assert 0.02 < found.mask.mean() < 0.98
    half = predictor(model, size=210, upsample='half_nearest')(image)
    nearest = cv2.resize(small, (420, 300), interpolation=cv2.INTER_NEAREST)
    np.testing.assert_allclose(half.probability, (expected + nearest) / 2, atol=1e-5)


def test_files_of_any_kind_are_the_array(predictor, tmp_path):
    image = noise(70, 90)
    predict = predictor(build_small(small_config()), size=80)
    expected = predict(image).probability
    alpha = np.concatenate([image, np.full((70, 90, 1), 255, np.uint8)], 2)
    cv2.imwrite(str(tmp_path / 'a.png'), image[..., ::-1])
    cv2.imwrite(str(tmp_path / 'rgba.png'), cv2.cvtColor(alpha, cv2.COLOR_RGBA2BGRA))
    tifffile.imwrite(tmp_path / 'a.tif', image, photometric='rgb')
    full_range = image.astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / 'deep.png'), full_range[..., ::-1])
    tifffile.imwrite(tmp_path / 'deep.tif', full_range, photometric='rgb')
    for name in ('a.png', 'rgba.png', 'a.tif', 'deep.png', 'deep.tif'):
        assert (predict(tmp_path / name).probability == expected).all(), name


@pytest.mark.parametrize('shape', [(1, 1), (1, 200), (200, 1), (5, 9), (31, 33)])
def test_small_images_with_a_real_model(tmp_path, shape):
    cfg = Config.fromfile(ROOT / 'configs/tissue/coat_slim_daformer.py')
    path = save(MODELS.build(cfg.model), tmp_path / 'coat.pth')
    for size in (None, 96):
        found = FTUPredictor(cfg, path, size=size)(noise(*shape))
        assert found.probability.shape == found.mask.shape == shape
        assert np.isfinite(found.probability).all()


@pytest.mark.parametrize(
    'image',
    [
        np.zeros((40, 40), np.uint8),
        np.zeros((40, 40, 4), np.uint8),
        np.zeros((3, 40, 40), np.uint8),
        np.zeros((40, 40, 3), np.float32),
        np.zeros((0, 40, 3), np.uint8),
    ],
)
def test_arrays_that_are_no_images_are_refused(predictor, image):
    with pytest.raises(ValueError, match='image'):
        predictor(constant(small_config(), 0.5))(image)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(tile=-5), 'tile=-5'),
        (dict(tile=64, overlap=40), 'tile=64, overlap=40'),
        (dict(cfg_options={}, batch_size=-1), 'batch_size=-1'),
        (dict(training_pixel_size=float('nan')), 'training_pixel_size=nan'),
        (dict(upsample='cubic'), "upsample='cubic': choose from bilinear"),
        (dict(mode='both'), "mode='both'"),
        (dict(thresholds={'HPA': {'lung': 1.5}}), 'threshold of HPA lung: 1.5'),
        (dict(stain_target='nowhere.json'), r'nowhere\.json'),
    ],
)
def test_faulty_arguments_are_named(predictor, arguments, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        predictor(constant(small_config(), 0.5), **arguments)


def test_a_negative_size_is_named(tmp_path):
    path = save(constant(small_config(), 0.5), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='size=-1: give a positive number'):
        FTUPredictor(small_config(), path, size=-1)


def test_settings_come_from_the_config_unless_given(predictor):
    cfg = small_config(3, inference=dict(views=['rot90'], upsample='half_nearest'))
    model = constant(cfg, 0.5)
    options = {'model.decode_head.threshold': 0.3}
    predict = predictor(model, cfg, size=80, cfg_options=options)
    settings = json.loads(json.dumps(predict.settings()))
    assert settings['views'] == ['rot90']
    assert settings['upsample'] == 'half_nearest'
    assert settings['scales'] == [1.0]
    assert (settings['size'], settings['tile'], settings['overlap']) == (80, 80, 20)
    assert predict.cfg_options == options
    plain = predictor(model, cfg, size=80).settings()
    assert settings['config_sha256'] != plain['config_sha256']  # they are in it
    assert cfg.model.decode_head.threshold == 0.5  # the caller's is left alone
    given = predictor(model, cfg, views=['hflip'], upsample='bilinear', scales=[2.0])
    assert given.settings()['views'] == ['hflip']
    assert given.settings()['upsample'] == 'bilinear'
    assert given.settings()['scales'] == [2.0]


# tiles


def in_tiles(predictor, model, **kwargs):
    options = dict(size=96, pixel_size=1, mode='tiles', tile=96) | kwargs
    return predictor(model, **options)(tissue(), pixel_size=1)


@pytest.mark.parametrize('overlap', [0, 24, 48])
@pytest.mark.parametrize('batch_size', [1, 4])
def test_tiles_of_a_pixelwise_model_are_the_whole(predictor, overlap, batch_size):
    model = dark(small_config(kernel_size=1))
    tiled = in_tiles(predictor, model, overlap=overlap, batch_size=batch_size)
    whole = predictor(model, size=420, mode='whole')(tissue())
    empty = tissue().min(axis=2) > 230
    assert whole.probability[empty].max() < 1e-3  # empty tiles count as that
    # the map is kept in 16 bits
    np.testing.assert_allclose(tiled.probability, whole.probability, atol=2e-5)
    assert whole.mask.any()
    assert dice(tiled.mask, whole.mask) > 0.9999


def test_tiles_of_a_convolution_agree_with_the_whole(predictor):
    cfg = small_config(kernel_size=9)
    model = build_small(cfg)
    for parameter in (model.backbone.conv.weight, model.decode_head.conv_seg.weight):
        parameter.data.div_(3)
    tiled = in_tiles(predictor, model, overlap=32)
    whole = predictor(model, size=420, mode='whole')(tissue())
    seen = np.s_[:, :288]  # beyond, tiles are empty and skipped
    assert 0.05 < whole.mask[seen].mean() < 0.95
    assert dice(tiled.mask[seen], whole.mask[seen]) >= 0.995


def test_empty_tiles_are_skipped_and_counted(predictor):
    model = constant(small_config(), 0.9)
    found = in_tiles(predictor, model, overlap=0)
    # 300 x 420 in tiles of 96: rows at 0, 68, 136, 204 and columns at 0, 81, .., 324
    assert found.tiles == (4 * 4, 4 * 5)
    assert (found.probability[:, :315] > 0.89).all()
    assert (found.probability[:, 340:] == 0).all()
    glass = np.full((200, 200, 3), 250, np.uint8)
    predict = predictor(model, size=96, pixel_size=1, mode='tiles', tile=96)
    empty = predict(glass, pixel_size=1)
    assert empty.tiles[0] == 0
    assert empty.probability.max() == 0
    assert empty.mask.max() == 0


def test_batches_are_full_although_tiles_between_are_empty(predictor, monkeypatch):
    image = np.concatenate([tissue(96, 96)] * 6, axis=1)
    image[:, 96:192] = image[:, 288:384] = 245  # tiles 1 and 3
    image[:, :96] = image[:, 192:288] = image[:, 384:] = (150, 90, 150)
    options = dict(size=96, pixel_size=1, mode='tiles', tile=96, overlap=0)
    predict = predictor(constant(small_config(), 0.9), batch_size=3, **options)
    sizes, network = [], predict.network

    def remember(images):
        sizes.append(len(images))
        return network(images)

    remember.batch_size = 3
    monkeypatch.setattr(predict, 'network', remember)
    found = predict(image, pixel_size=1)
    assert sizes == [3, 1]
    assert found.tiles == (4, 6)
    shown = found.probability.reshape(96, 6, 96).transpose(1, 0, 2)
    for place, expected in enumerate([0.9, 0, 0.9, 0, 0.9, 0.9]):
        assert np.abs(shown[place] - expected).max() < 0.01


def test_batches_go_on_over_rows(predictor, monkeypatch):
    """Rows of a slide have few tiles with tissue, and a small batch costs as much."""
    image = np.full((96 * 5, 96 * 3, 3), 245, np.uint8)
    shown = [(0, 1), (1, 0), (1, 2), (3, 0), (4, 1)]
    for row, column in shown:
        image[96 * row : 96 * row + 96, 96 * column : 96 * column + 96] = 150, 90, 150
    options = dict(size=96, pixel_size=1, mode='tiles', tile=96, overlap=0)
    predict = predictor(constant(small_config(), 0.9), batch_size=2, **options)
    sizes, network = [], predict.network

    def remember(images):
        sizes.append(len(images))
        return network(images)

    remember.batch_size = 2
    monkeypatch.setattr(predict, 'network', remember)
    found = predict(image, pixel_size=1)
    assert sizes == [2, 2, 1]
    assert found.tiles == (5, 15)
    means = found.probability.reshape(5, 96, 3, 96).mean((1, 3))
    expected = np.zeros((5, 3))
    expected[tuple(zip(*shown, strict=True))] = 0.9
    assert np.abs(means - expected).max() < 0.01


@pytest.mark.parametrize(
    ('pixel_size', 'shape'), [(1, (300, 420)), (0.5, (150, 210)), (2, (600, 840))]
)
def test_tiles_have_the_pixel_size_of_training(predictor, pixel_size, shape):
    predict = predictor(
        dark(small_config(1)), size=96, pixel_size=1, mode='tiles', tile=96
    )
    found = predict(tissue(), pixel_size=pixel_size)
    assert found.loaded.working.shape == shape
    assert found.mask.shape == (300, 420)
    reference = predictor(dark(small_config(1)), mode='whole')(tissue())
    assert dice(found.mask, reference.mask) > 0.97


def test_tiles_have_the_pixel_size_of_the_organ(predictor):
    options = dict(pixel_size=1, organs=dict(kidney=0.5, prostate=6.0), tile=96)
    predict = predictor(dark(small_config(1)), size=96, mode='tiles', **options)
    by_organ = dict(kidney=(600, 840), prostate=(50, 70))
    for organ, shape in by_organ.items():
        with warnings.catch_warnings():
            warnings.simplefilter('error', UserWarning)
            found = predict(tissue(), organ=organ, pixel_size=1)
        assert found.map.source.shape == shape
    text = r'0\.5 \(kidney\) to 6 \(prostate\): give --organ'
    with pytest.warns(UserWarning, match=text):
        assert predict(tissue(), pixel_size=1).map.source.shape == (300, 420)
    told = predict.settings()['training_pixel_size_by_organ']
    assert told == dict(kidney=0.5, prostate=6.0)


@pytest.mark.parametrize(
    ('trained', 'given', 'message'),
    [
        (1, None, r'of the image is unknown: .*--pixel-size'),
        (None, 1, r'of the training data is unknown: .*--training-pixel-size'),
    ],
)
def test_tiles_need_pixel_sizes(predictor, trained, given, message):
    predict = predictor(
        constant(small_config(), 0.5), size=96, pixel_size=trained, mode='tiles'
    )
    with pytest.raises(ValueError, match=message):
        predict(tissue(), pixel_size=given)


def test_auto_cuts_slides_and_long_images_only(predictor):
    predict = predictor(dark(small_config(1)), size=96, pixel_size=1)
    assert isinstance(predict(tissue()).loaded, WholeImage)
    predict.load.tiled_from = 400
    found = predict(tissue(), pixel_size=1)
    assert found.tiles[1] > 1
    assert isinstance(found.loaded, TiledImage)


def test_nothing_is_left_of_temporary_files(predictor, tmp_path):
    folder = tmp_path / 'temporary'
    folder.mkdir()
    in_tiles(predictor, dark(small_config(1)), temporary=folder)
    assert [*folder.iterdir()] == []


class Slide:
    """A slide that waits before it reads below a row, or fails there."""

    is_slide, by_rows, pixel_size, pixel_size_fault = True, False, 1.0, None

    def __init__(self, image, row, fails=False):
        self.image, self.shape = image, image.shape[:2]
        self.levels = [self.shape]
        self.row, self.fails, self.is_closed = row, fails, False
        self.may_go_on = threading.Event()

    def read(self, level, top, left, height, width):
        if top + height > self.row:
            if self.fails:
                raise OSError('block 7 is damaged')
            assert self.may_go_on.wait(60)
        return self.image[top : top + height, left : left + width]

    def close(self):
        self.is_closed = True


def test_a_slide_is_read_while_the_network_works(predictor, monkeypatch):
    slide = Slide(np.concatenate([tissue()] * 5), 800)
    predict = predictor(dark(small_config(1)), mode='tiles', size=96, pixel_size=1)
    expected = predict(slide.image, pixel_size=1)
    network, waited = predict.network, []

    def look(images):
        waited.append(not slide.may_go_on.is_set())
        slide.may_go_on.set()
        return network(images)

    look.batch_size = 1
    monkeypatch.setattr(predict, 'network', look)
    [found] = predict.predict([predict.load(Job('a', Path('a')), slide)])
    assert waited[0]
    assert (found.probability == expected.probability).all()
    found.loaded.close()
    assert slide.is_closed


def test_slides_are_read_in_their_turn(predictor):
    """Else many that wait would take the time of the one that is predicted."""
    predict = predictor(dark(small_config(1)), mode='tiles', size=96, pixel_size=1)
    slides = [Slide(np.concatenate([tissue()] * 3), 0) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        jobs = [Job('a', Path('a'))] * 4
        loading = [
            pool.submit(predict.load, *pair) for pair in zip(jobs, slides, strict=True)
        ]
        early = [f.result() for f in wait(loading, 3).done]
        assert len(early) == 2
        for slide in slides:
            slide.may_go_on.set()
        for found in predict.predict([future.result() for future in loading]):
            found.loaded.close()
    assert all(slide.is_closed for slide in slides)


def test_a_slide_that_is_damaged_below_is_named(predictor, tmp_path):
    slide = Slide(np.concatenate([tissue()] * 5), 800, fails=True)
    folder = tmp_path / 'temporary'
    folder.mkdir()
    model = dark(small_config(1))
    predict = predictor(model, size=96, pixel_size=1, temporary=folder)
    loaded = predict.load(Job('a', Path('a')), slide)
    with pytest.raises(OSError, match='block 7 is damaged'):
        predict.predict([loaded])
    loaded.close()
    assert slide.is_closed
    assert [*folder.iterdir()] == []


# stains


@pytest.fixture(scope='module')
def raw(tmp_path_factory):
    """The competition's layout, a stain target, and the ids of the images."""
    root = tmp_path_factory.mktemp('stains')
    write_sample_data(root / 'raw', images=4, size=160)
    section_target(root / 'target.json')
    return root


@pytest.fixture
def shown(monkeypatch):
    """Return a function: predictor and job -> the images that its network gets."""

    def show(predict, job, source=None):
        seen = []

        def remember(images):
            seen.extend(images)
            return [np.zeros(image.shape[:2], np.float32) for image in images]

        monkeypatch.setattr(predict, 'network', remember)
        remember.batch_size = 1
        predict.predict([predict.load(job, source)])
        return seen

    return show


@pytest.mark.parametrize('order', ORDERS)
def test_the_network_sees_what_preparation_wrote(
    predictor, raw, shown, tmp_path, order
):
    stain = fit_stain_step('vahadane', raw / 'target.json', order)
    folder = tmp_path / 'prepared'
    prepare_hubmap(raw / 'raw', folder, 64, 2, workers=0, stain=stain)
    plain = predictor(constant(small_config(), 0.5), size=64)
    predict = predictor(constant(small_config(), 0.5), size=64, stain=stain)
    jobs = list_jobs(str(raw / 'raw' / 'train_images'))
    assert len(jobs) == 4
    changed = 0
    for job in jobs:
        written = read_image(folder / 'images' / f'{job.id}.png')
        assert (shown(predict, job)[0] == written).all()
        changed += (shown(plain, job)[0] != written).any()
    assert changed >= 2  # the others can't be fitted
    (first, *_) = list_jobs(str(folder))
    assert (shown(predict, first)[0] == read_image(first.path)).all()  # not twice


@pytest.mark.parametrize('order', ORDERS)
def test_files_read_in_parts_see_the_same(predictor, raw, shown, order):
    stain = fit_stain_step('vahadane', raw / 'target.json', order)
    predict = predictor(constant(small_config(), 0.5), size=64, stain=stain)
    job, *_ = list_jobs(str(raw / 'raw' / 'train_images'))
    (whole,) = shown(predict, job)
    (parts,) = shown(predict, job, open_source(job.path, Limits(whole_pixels=100)))
    assert np.abs(parts.astype(int) - whole).max() <= 2
    assert np.abs(parts.astype(int) - whole).mean() < 0.1


@pytest.mark.parametrize('order', ORDERS)
def test_tiles_share_one_stain_fit(predictor, raw, shown, order):
    """Tiles that don't overlap make up the whole image as it is normalised."""
    stain = fit_stain_step('vahadane', raw / 'target.json', order)
    options = dict(size=64, pixel_size=1, stain=stain, tile=64, overlap=0)
    predict = predictor(constant(small_config(), 0.5), mode='tiles', **options)
    image = section(3, 192)
    path = raw / 'section.png'
    cv2.imwrite(str(path), image[..., ::-1])
    seen = shown(predict, Job('a', path, pixel_size=1.0))
    assert len(seen) == 9
    rows = [np.concatenate(seen[i : i + 3], 1) for i in (0, 3, 6)]
    expected = load_target(raw / 'target.json').transform(image)
    assert (np.concatenate(rows) == expected).all()
    assert (expected != image).any()


@pytest.mark.parametrize('order', ORDERS)
def test_a_slide_is_fitted_over_its_tissue(predictor, raw, shown, order):
    """One part in a hundred tissue: the network sees it as it would see it alone."""
    stain = fit_stain_step('vahadane', raw / 'target.json', order)
    options = dict(size=64, pixel_size=1, stain=stain, tile=96, overlap=0)
    predict = predictor(constant(small_config(), 0.5), mode='tiles', **options)
    tissue = full_section(3, 96)
    path = raw / 'slide.png'
    cv2.imwrite(str(path), on_glass(tissue, 960)[..., ::-1])
    (seen,) = shown(predict, Job('a', path, pixel_size=1.0))  # the others are empty
    expected = load_target(raw / 'target.json').transform(tissue)
    assert np.abs(seen.astype(int) - expected).max() <= 5


def test_a_prepared_folder_of_other_stains_is_refused(predictor, raw, shown, tmp_path):
    stain = fit_stain_step('vahadane', raw / 'target.json')
    for name, there in (('stained', stain), ('plain', None)):
        prepare_hubmap(raw / 'raw', tmp_path / name, 64, 2, workers=0, stain=there)
    stained, plain = (
        list_jobs(str(tmp_path / name))[0] for name in ('stained', 'plain')
    )
    model = constant(small_config(), 0.5)
    without = predictor(model, size=64)
    with pytest.raises(ValueError, match=r"prepared with stains 'vahadane.*'none'"):
        without.load(stained)
    allowed = predictor(model, size=64, allow_other_stain=True)
    assert (shown(allowed, stained)[0] == read_image(stained.path)).all()
    trained = predictor(model, size=64, stain=stain)
    normalised = shown(trained, plain)[0]
    assert (normalised == read_image(stained.path)).all()


def test_a_failed_fit_is_told(predictor, raw):
    stain = fit_stain_step('vahadane', raw / 'target.json')
    model = dark(small_config(1))
    for mode in ('whole', 'tiles'):
        predict = predictor(model, size=96, pixel_size=1, stain=stain, mode=mode)
        white = predict(np.full((90, 90, 3), 250, np.uint8), pixel_size=1)
        assert white.loaded.stain_failure
        assert white.mask.max() == 0
        assert predict(section(), pixel_size=1).loaded.stain_failure is None


# prepared images


@pytest.mark.parametrize('mode', ['whole', 'tiles'])
def test_prepared_images_come_back_at_the_original_size(predictor, raw, tmp_path, mode):
    prepare_hubmap(raw / 'raw', tmp_path / 'p', 64, 2, workers=0)
    job, *_ = list_jobs(str(tmp_path / 'p'))
    assert job.original_shape == (160, 160)
    trained_at = job.pixel_size * 160 / 64
    predict = predictor(
        dark(small_config(1)), size=64, pixel_size=trained_at, mode=mode
    )
    (found,) = predict.predict([predict.load(job)])
    assert found.mask.shape == (160, 160)
    assert found.loaded.pixel_size == job.pixel_size
    thumbnail = found.loaded.thumbnail(2048)
    assert (thumbnail == read_image(job.path)).all()
    if mode == 'tiles':
        assert found.loaded.working.shape == (64, 64)
    original = predict(raw / 'raw' / 'train_images' / f'{job.id}.tiff', pixel_size=0.4)
    assert dice(found.mask, original.mask) > 0.95


def test_the_pixel_size_of_a_resized_copy_is_that_of_the_original(predictor, tmp_path):
    path = tmp_path / 'copy.tif'
    resolution = dict(resolution=(5000, 5000), resolutionunit='CENTIMETER')  # 2 um
    tifffile.imwrite(path, tissue(150, 210), photometric='rgb', **resolution)
    predict = predictor(dark(small_config(1)), size=96)
    loaded = predict.load(Job('copy', path, original_shape=(600, 840)))
    assert loaded.pixel_size == pytest.approx(0.5)
    assert predict.load(Job('copy', path)).pixel_size == pytest.approx(2)


@pytest.mark.parametrize('longest', [40, 300, 5000])
def test_thumbnails(predictor, longest):
    predict = predictor(dark(small_config(1)), size=96, pixel_size=1)
    thumbnail = predict(tissue()).loaded.thumbnail(longest)
    assert max(thumbnail.shape) == min(longest, 420)
    assert thumbnail.dtype == np.uint8


def test_a_preprocessor_that_fits_stains_by_tile_is_refused(predictor, tmp_path):
    target = section_target(tmp_path / 'target.json')
    cfg = small_config()
    cfg.model.data_preprocessor.type = 'StainDataPreProcessor'
    cfg.model.data_preprocessor.stain_target = str(target)
    made = predictor(build_small(cfg), cfg, 64, 1.0, mode='tiles')
    with pytest.raises(ValueError, match='leaves seams: use SegDataPreProcessor'):
        made(tissue(), pixel_size=1.0)


def test_progress_of_the_tiles(predictor, capsys):
    cfg = small_config()
    made = predictor(build_small(cfg), cfg, 64, 1.0, mode='tiles', progress=True)
    assert made(tissue(), pixel_size=1.0).tiles[1] == 54
    assert '/54 [' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('share', 'columns'), [(0, 9), (0.04, 8), (0.05, 7), (0.76, 6), (1, 6)]
)
def test_least_share_of_tissue(predictor, share, columns):
    # tissue ends at 315 px; columns of tiles begin at ..., 222, 267, 312, 356, so the
    # last four hold 64, 48, 3 and 0 of 64 px of it
    cfg = small_config()
    made = predictor(build_small(cfg), cfg, 64, 1.0, mode='tiles', min_tissue=share)
    assert made(tissue(), pixel_size=1.0).tiles == (6 * columns, 6 * 9)


@pytest.mark.parametrize('share', [-0.1, 1.1, float('nan')])
def test_a_share_of_tissue_is_checked(predictor, share):
    cfg = small_config()
    with pytest.raises(ValueError, match=r'min_tissue=.*: give a share'):
        predictor(build_small(cfg), cfg, 64, 1.0, min_tissue=share)
