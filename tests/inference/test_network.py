from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmseg.registry import MODELS
from small_models import MEAN, STD, build_small, constant, noise, save, small_config

from mmseg_ftu.inference.choices import VIEWS
from mmseg_ftu.inference.network import Network, undo_view, view

ROOT = Path(__file__).resolve().parents[2]
ALL_VIEWS, SCALES = tuple(VIEWS), (0.75, 1.0, 1.25)


@pytest.fixture
def network(tmp_path):
    """Return a function: models (config, model) and arguments -> Network."""

    def make(cfg, *models, **kwargs):
        paths = [save(m, tmp_path / f'{i}.pth') for i, m in enumerate(models)]
        return Network(cfg, paths, **kwargs)

    return make


def by_hand(model, image):
    """Compute the probabilities of an RGB image from the weights alone."""
    state = model.state_dict()
    x = (torch.from_numpy(image.copy()).float() - torch.tensor(MEAN)) / torch.tensor(
        STD
    )
    x = x.permute(2, 0, 1)[None]
    weight = state['backbone.conv.weight']
    x = F.conv2d(x, weight, state['backbone.conv.bias'], padding=weight.shape[-1] // 2)
    last = (state['decode_head.conv_seg.weight'], state['decode_head.conv_seg.bias'])
    return F.conv2d(x.tanh(), *last).sigmoid()[0, 0].numpy()


# what numpy calls the views, and their inverses
BY_NUMPY = {
    'identity': (lambda a: a, lambda a: a),
    'hflip': (np.fliplr, np.fliplr),
    'vflip': (np.flipud, np.flipud),
    'rot180': (lambda a: np.rot90(a, 2), lambda a: np.rot90(a, 2)),
    'transpose': (lambda a: a.swapaxes(0, 1), lambda a: a.swapaxes(0, 1)),
    'rot90': (np.rot90, lambda a: np.rot90(a, -1)),
    'rot270': (lambda a: np.rot90(a, 3), lambda a: np.rot90(a, -3)),
    'antitranspose': (
        lambda a: np.rot90(a.swapaxes(0, 1), 2),
        lambda a: np.rot90(a, 2).swapaxes(0, 1),
    ),
}


@pytest.mark.parametrize('name', VIEWS)
def test_views_are_those_of_numpy_and_can_be_undone(name):
    array = np.arange(12).reshape(3, 4)
    seen = view(torch.from_numpy(array)[None], name)
    assert (seen[0].numpy() == BY_NUMPY[name][0](array)).all()
    assert (undo_view(seen, name)[0].numpy() == array).all()


def test_there_are_eight_different_views():
    array = torch.arange(9).reshape(1, 3, 3)
    assert len({tuple(view(array, name).flatten().tolist()) for name in VIEWS}) == 8


@pytest.mark.parametrize(
    'views', [['identity'], ['identity', 'hflip', 'vflip'], ['rot90'], list(VIEWS)]
)
@pytest.mark.parametrize('batch_size', [1, 3, 16])
@pytest.mark.parametrize('shape', [(70, 90), (80, 80)])
def test_mean_over_views_by_hand(network, views, batch_size, shape):
    cfg = small_config()
    model = build_small(cfg)
    images = [noise(*shape, seed) for seed in (0, 1)]
    copies = [image.copy() for image in images]
    answers = network(cfg, model, views=views, batch_size=batch_size)(images)
    for image, copy, answer in zip(images, copies, answers, strict=True):
        expected = np.mean(
            [BY_NUMPY[v][1](by_hand(model, BY_NUMPY[v][0](image))) for v in views], 0
        )
        np.testing.assert_allclose(answer, expected, atol=1e-5)
        assert answer.dtype == np.float32
        assert (image == copy).all()
    single = by_hand(model, images[0])
    assert np.abs(single - np.fliplr(by_hand(model, np.fliplr(images[0])))).max() > 0.1


def test_mean_over_scales_by_hand(network):
    cfg = small_config()
    model, image = build_small(cfg), noise(80, 100)
    expected = np.zeros((80, 100))
    for height, width in ((72, 90), (80, 100), (100, 125)):
        how = cv2.INTER_AREA if height < 80 else cv2.INTER_LINEAR
        small = cv2.resize(image, (width, height), interpolation=how)
        answer = by_hand(model, small)
        expected += cv2.resize(answer, (100, 80)) / 3
    (found,) = network(cfg, model, scales=(0.9, 1, 1.25))([image])
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize('shape', [(96, 96), (64, 100), (1, 1), (20, 300)])
def test_a_faint_answer_stays_faint(network, shape):
    """mmseg's own TTA makes 100 % foreground of p = .018 everywhere."""
    cfg = small_config()
    net = network(cfg, constant(cfg, 0.018), views=ALL_VIEWS, scales=SCALES)
    (answer,) = net([noise(*shape)])
    assert answer.shape == shape
    np.testing.assert_allclose(answer, 0.018, atol=1e-5)


@pytest.mark.parametrize(
    ('weights', 'expected'),
    [(None, 0.5), ([1, 1], 0.5), ([3, 1], 0.35), ([0.1, 0.9], 0.74)],
)
def test_ensemble_by_hand(network, weights, expected):
    cfg = small_config()
    models = constant(cfg, 0.2), constant(cfg, 0.8)
    net = network(cfg, *models, weights=weights, views=ALL_VIEWS, scales=SCALES)
    np.testing.assert_allclose(net([noise()])[0], expected, atol=1e-5)
    assert sum(net.weights) == pytest.approx(1)


@pytest.mark.parametrize(
    'shape', [(1, 1), (1, 70), (90, 1), (5, 64), (63, 200), (2, 3), (128, 65)]
)
def test_images_are_mirrored_to_the_stride(network, shape):
    cfg = small_config(**{'model.backbone.stride': 64})
    model, image = build_small(cfg), noise(*shape)
    lack = [(0, -n % 64) for n in shape]
    mirrored = np.pad(image, [*lack, (0, 0)], mode='reflect')
    (answer,) = network(cfg, model)([image])
    expected = by_hand(model, mirrored)[: shape[0], : shape[1]]
    np.testing.assert_allclose(answer, expected, atol=1e-5)


def test_a_real_model_takes_any_size(tmp_path):
    cfg = Config.fromfile(ROOT / 'configs/tissue/coat_slim_daformer.py')
    path = save(MODELS.build(cfg.model), tmp_path / 'coat.pth')
    net = Network(cfg, [path], views=['identity', 'rot90'], scales=(0.75, 1.25))
    for shape in ((1, 1), (33, 65), (100, 70)):
        (answer,) = net([noise(*shape)])
        assert answer.shape == shape
        assert np.isfinite(answer).all()


def test_the_preprocessor_pads_no_zeros(network):
    cfg, image = small_config(kernel_size=9), noise(70, 90)
    model = build_small(cfg)
    padding = small_config(kernel_size=9)
    padding.model.data_preprocessor.test_cfg = dict(size_divisor=32)
    answer = network(padding, model)([image])[0]
    mirrored = np.pad(image, [(0, 26), (0, 6), (0, 0)], mode='reflect')
    np.testing.assert_allclose(answer, by_hand(model, mirrored)[:70, :90], atol=1e-5)


def test_two_channels_are_a_softmax(network):
    cfg = small_config(out_channels=2)
    model = build_small(cfg)
    with torch.no_grad():
        model.decode_head.conv_seg.weight.zero_()
        model.decode_head.conv_seg.bias.copy_(torch.tensor([0.2, 0.9]).log())
    np.testing.assert_allclose(network(cfg, model)([noise()])[0], 9 / 11, atol=1e-6)


def test_half_precision_is_close(network):
    cfg = small_config()
    model, image = build_small(cfg), noise()
    (exact,), (half,) = (network(cfg, model, amp=amp)([image]) for amp in (False, True))
    assert half.dtype == np.float32
    assert np.abs(exact - half).max() > 0
    assert np.abs(exact - half).mean() < 0.02


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(views=['hflip', 'sideways']), 'sideways.*choose from identity'),
        (dict(views=[]), 'choose from'),
        (dict(views=['hflip', 'hflip']), 'one occurs twice'),
        (dict(scales=[1, 0]), 'give positive factors'),
        (dict(scales=[float('nan')]), 'give positive factors'),
        (dict(scales=[]), 'give positive factors'),
        (dict(weights=[1]), 'one positive number for each'),
        (dict(weights=[1, -1]), 'one positive number for each'),
        (dict(weights=[1, float('nan')]), 'one positive number for each'),
        (dict(batch_size=0), 'batch_size=0'),
        (dict(device='toaster'), "device='toaster'"),
    ],
)
def test_faulty_arguments_are_named(network, arguments, message):
    cfg = small_config()
    models = constant(cfg, 0.2), constant(cfg, 0.8)
    with pytest.raises(ValueError, match=message):
        network(cfg, *models, **arguments)


def test_a_device_that_is_not_there(network):
    if torch.cuda.is_available():
        pytest.skip('this machine has one')
    cfg = small_config()
    with pytest.raises(ValueError, match="device='cuda'"):
        network(cfg, constant(cfg, 0.2), device='cuda')


class Harmful:
    def __reduce__(self):
        return print, ('run from a checkpoint',)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (dict(state_dict={'a': torch.zeros(1)}), "not the weights of this config's"),
        (dict(a=1), "not the weights of this config's"),
        (torch.zeros(3), 'holds a Tensor, no weights'),
        (Harmful(), 'is refused'),
        (b'', 'damaged'),
    ],
)
def test_faulty_checkpoints_are_named(tmp_path, capsys, content, message):
    path = tmp_path / 'faulty.pth'
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ValueError, match=message) as caught:
        Network(small_config(), [path])
    assert 'faulty.pth' in str(caught.value)
    assert 'run from' not in capsys.readouterr().out


def test_missing_keys_do_not_fill_the_screen(tmp_path):
    cfg = Config.fromfile(ROOT / 'configs/tissue/coat_slim_daformer.py')
    path = save(build_small(small_config()), tmp_path / 'small.pth')
    with pytest.raises(ValueError, match=r'\d+ are missing') as caught:
        Network(cfg, [path])
    assert len(str(caught.value)) < 500 + len(str(path))


def test_the_config_that_a_test_with_tta_leaves(network):
    cfg, image = small_config(), noise()
    model = build_small(cfg)
    wrapped = small_config()
    wrapped.model = dict(type='BinarySegTTAModel', module=cfg.model)
    answer = network(wrapped, model)([image])[0]
    np.testing.assert_allclose(answer, by_hand(model, image), atol=1e-5)


def test_no_checkpoint():
    with pytest.raises(FileNotFoundError, match=r'nowhere\.pth'):
        Network(small_config(), ['nowhere.pth'])
    with pytest.raises(ValueError, match='give at least one'):
        Network(small_config(), [])


@pytest.mark.parametrize('meta', [None, {}, dict(dataset_meta=None)])
def test_checkpoints_that_say_nothing_of_themselves(tmp_path, meta):
    cfg = small_config()
    model = build_small(cfg)
    torch.save(dict(state_dict=model.state_dict(), meta=meta), tmp_path / 'a.pth')
    network = Network(cfg, [tmp_path / 'a.pth'])
    assert network.metas == [{}]
    assert network([noise()])[0].shape == (70, 90)
