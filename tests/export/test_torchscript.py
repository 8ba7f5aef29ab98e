"""Traces compute what the model computes, at any size."""

import io
import zipfile

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from quick_and_slow import mostly_slow
from slim_models import CONFIGS, NAMES, SEVEN, build_slim, slim_config
from small_models import section_target

from mmseg_ftu.export.probability import Probability, example_image
from mmseg_ftu.export.torchscript import quiet, trace_to_torchscript

# none that the export tries itself: odd, tiny, wide, a multiple of all strides
SHAPES = [(1, 3, 61, 33), (3, 3, 127, 193), (1, 3, 320, 192), (2, 3, 64, 448)]
QUICK = ['coat_daformer', 'mit_daformer']
TISSUE = [
    *('coat_slim_daformer', 'lite0_unet', 'mit_b0_daformer', 'pvtv2_b0_daformer'),
    'resnet18_unet',
]


def load(content: bytes) -> torch.jit.ScriptModule:
    with quiet():
        return torch.jit.load(io.BytesIO(content))


def check(model: Probability) -> None:
    traced = load(trace_to_torchscript(model))
    spreads = []
    for shape in SHAPES:
        image = example_image(shape)
        with torch.inference_mode():
            expected, got = model(image), traced(image)
        spreads.append(expected.std())
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)
    assert max(spreads) > 1e-3


def build(cfg: Config) -> Probability:
    """Build a model whose answers vary at all the sizes."""
    cfg.model.backbone.init_cfg = None
    sizes = [(2, 3, *(-(-side // 64) * 64 for side in shape[2:])) for shape in SHAPES]
    images = [example_image(size) / 60 - 2 for size in sizes]
    return Probability(build_slim(cfg, images), {}).eval()


@pytest.mark.parametrize('name', mostly_slow(NAMES, QUICK))
def test_each_model_equals_pytorch_at_other_sizes(name):
    check(build(slim_config(name)))


@pytest.mark.slow
@pytest.mark.parametrize(
    'path',
    [*(f'ftu/{name}.py' for name in SEVEN), *(f'tissue/{name}.py' for name in TISSUE)],
)
def test_each_recipe_as_it_ships(path):
    check(build(Config.fromfile(CONFIGS / path)))


def test_the_file_tells_nothing_of_the_machine():
    content = trace_to_torchscript(build(slim_config('mit_daformer')))
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        assert file.testzip() is None
        assert not [n for n in file.namelist() if n.endswith('.debug_pkl')]
        assert {info.date_time[0] for info in file.infolist()} == {1980}
        texts = [file.read(n) for n in file.namelist() if n.endswith(('.py', '.pkl'))]
    assert not any(b'site-packages' in text or b'/mmseg_ftu/' in text for text in texts)
    assert not any(p.requires_grad for p in load(content).parameters())


class OneSize(torch.nn.Module):
    """A network that writes the size of its first image into the trace."""

    def __init__(self, fails: bool) -> None:
        super().__init__()
        self.fails = fails

    def forward(self, image):
        height, width = (int(side) for side in image.shape[2:])
        if self.fails:
            return image.mean(1, keepdim=True).reshape(-1, 1, height, width) / 255
        return torch.full_like(image[:, :1], height / 1000)


@pytest.mark.filterwarnings('ignore::torch.jit.TracerWarning')
@pytest.mark.parametrize(
    ('fails', 'message'),
    [(True, 'does not run on an image of shape'), (False, 'differs from PyTorch by')],
)
def test_a_trace_that_holds_for_one_size_is_refused(fails, message):
    with pytest.raises(ValueError, match=message):
        trace_to_torchscript(OneSize(fails))


def test_stains_of_the_preprocessor_are_named(tmp_path):
    cfg = slim_config('mit_daformer')
    model = MODELS.build(cfg.model)
    assert Probability(model, {}).stain == 'unknown'
    assert Probability(model, dict(stain='none')).stain == 'none'
    target = section_target(tmp_path / 'target.json')
    cfg.model.data_preprocessor.update(
        type='StainDataPreProcessor', stain_target=str(target)
    )
    stain = Probability(MODELS.build(cfg.model), {}).stain
    assert stain.startswith('vahadane')
    assert stain.endswith('online')
