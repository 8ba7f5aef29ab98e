"""The idea: auxiliary head and switch, in a real Runner wherever one is involved."""

import re
from itertools import pairwise

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.structures import PixelData
from mmseg.registry import MODELS, OPTIM_WRAPPERS
from mmseg.structures import SegDataSample
from quick_and_slow import mostly_slow
from tiny_run import WIDTHS, RecordHook, build, hook_of, tiny_config

from mmseg_ftu.switched_aux_loss import (
    AuxiliaryHead,
    downsample_mask,
    supervision_at,
    weighted_bce,
)


def samples_of(masks):
    return [SegDataSample(gt_sem_seg=PixelData(data=m[None])) for m in masks]


# --- the target ---------------------------------------------------------------------


def test_nearest_target_picks_the_upper_left_pixel():
    mask = torch.tensor([[1, 0, 255, 1], [0, 0, 0, 0], [0, 1, 1, 1], [1, 1, 1, 1]])
    target, weight = downsample_mask(mask[None, None], (2, 2), 'nearest')
    assert target[0, 0].tolist() == [[1, 0], [0, 1]]
    assert weight[0, 0].tolist() == [[1, 0], [1, 1]]


def test_area_target_is_the_share_of_foreground_among_known_pixels():
    mask = torch.tensor(
        [[1, 0, 255, 1], [0, 0, 255, 0], [0, 1, 255, 255], [1, 1, 255, 255]]
    )
    target, weight = downsample_mask(mask[None, None], (2, 2), 'area')
    assert target[0, 0].tolist() == [[0.25, 0.5], [0.75, 0.0]]
    assert weight[0, 0].tolist() == [[1.0, 0.5], [1.0, 0.0]]


@pytest.mark.parametrize('target', ['nearest', 'area'])
def test_target_of_a_size_that_does_not_divide_keeps_the_mean(target):
    mask = torch.zeros(1, 1, 37, 53, dtype=torch.int64)
    mask[..., 10:30, 20:40] = 1
    small, weight = downsample_mask(mask, (10, 14), target)
    assert small.shape == weight.shape == (1, 1, 10, 14)
    assert abs(small.mean() - mask.float().mean()) < 0.03
    assert weight.eq(1).all()


def test_weighted_bce_equals_a_hand_made_sum():
    logits = torch.tensor([[2.0, -1.0, 30.0, 0.5]])
    target = torch.tensor([[1.0, 0.0, 0.0, 0.25]])
    weight = torch.tensor([[1.0, 1.0, 0.0, 0.5]])
    p = 1 / (1 + np.exp(-logits.numpy().astype(float)))
    bce = -(target.numpy() * np.log(p) + (1 - target.numpy()) * np.log(1 - p))
    expected = (bce * weight.numpy())[:, [0, 1, 3]].sum() / max(2.5, 1)
    assert weighted_bce(logits, target, weight).item() == pytest.approx(expected, 1e-6)


def test_weighted_bce_of_nothing_is_zero_and_differentiable():
    logits = torch.randn(1, 1, 4, 4, requires_grad=True)
    loss = weighted_bce(logits, torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4))
    loss.backward()
    assert loss == 0
    assert logits.grad.eq(0).all()


# --- the head -----------------------------------------------------------------------


def pyramid(requires_grad=False):
    torch.manual_seed(0)
    return [
        torch.randn(2, c, 32 // s, 32 // s, requires_grad=requires_grad)
        for c, s in zip(WIDTHS, (2, 4, 8), strict=True)
    ]


@pytest.mark.parametrize('index', [0, 1, 2])
def test_logits_have_the_resolution_of_the_active_stage(index):
    maps = pyramid()
    head = AuxiliaryHead(WIDTHS, index)
    (logits,) = head(maps)
    assert logits.shape == (2, 1, *maps[index].shape[-2:])


@pytest.mark.parametrize('target', ['nearest', 'area'])
def test_loss_is_the_weighted_bce_at_the_stage(target):
    maps = pyramid()
    masks = (torch.rand(2, 32, 32) < 0.3).long()
    masks[:, :8, :8] = 255
    head = AuxiliaryHead(WIDTHS, 1, loss_weight=0.2, target=target)
    loss = head.loss(maps, samples_of(masks), None)
    expected = weighted_bce(
        torch.nn.functional.conv2d(maps[1], head.stems[1].weight, head.stems[1].bias),
        *downsample_mask(masks[:, None], (8, 8), target),
    )
    assert loss.keys() == {'loss_bce'}
    torch.testing.assert_close(loss['loss_bce'], 0.2 * expected)


def test_ignored_pixels_do_not_matter():
    maps = pyramid()
    masks = torch.zeros(2, 32, 32, dtype=torch.int64)
    masks[:, :16] = 255
    head = AuxiliaryHead(WIDTHS, 0)
    loss = head.loss(maps, samples_of(masks))['loss_bce']
    maps[0][:, :, :8] = 1000.0
    assert head.loss(maps, samples_of(masks))['loss_bce'] == loss


@pytest.mark.parametrize('index', [0, 1, 2])
def test_only_the_active_stem_gets_a_gradient(index):
    head = AuxiliaryHead(WIDTHS, index)
    masks = torch.ones(2, 32, 32, dtype=torch.int64)
    head.loss(pyramid(), samples_of(masks))['loss_bce'].backward()
    learns = [stem.weight.grad is not None for stem in head.stems]
    assert learns == [k == index for k in range(3)]


@pytest.mark.parametrize('weight', [0.2, [0.3, 0.1]])
def test_several_stages_add_their_losses_up(weight):
    masks = samples_of((torch.rand(2, 32, 32) < 0.3).long())
    maps = pyramid(requires_grad=True)
    head = AuxiliaryHead(WIDTHS, [2, 0], weight)
    loss = head.loss(maps, masks)['loss_bce']
    loss.backward()
    assert [x.grad is not None for x in maps] == [True, False, True]
    stems = [stem.weight.grad is not None for stem in head.stems]
    assert stems == [True, False, True]

    alone = pyramid(requires_grad=True)
    factors = weight if isinstance(weight, list) else [weight] * 2
    total = 0
    for stage, factor in zip([2, 0], factors, strict=True):
        head.supervise(stage, factor)
        one = head.loss(alone, masks)['loss_bce']
        one.backward()
        total += one.item()
    assert loss.item() == pytest.approx(total, 1e-6)
    for stage in (0, 2):
        torch.testing.assert_close(maps[stage].grad, alone[stage].grad)


def test_off_computes_nothing():
    def fail(*_):
        raise AssertionError('a stem was run')

    head = AuxiliaryHead(WIDTHS, None, [0.2, 0.1])  # weights of phases that are on
    for stem in head.stems:
        stem.register_forward_hook(fail)
    assert head.loss(pyramid(), samples_of(torch.ones(2, 32, 32).long())) == {}


@pytest.mark.parametrize('arch', mostly_slow(['lite_tiny', 'tiny'], ['lite_tiny']))
@pytest.mark.parametrize('index', [0, 1, 2, 3])
def test_gradient_reaches_the_stages_up_to_the_active_one(arch, index):
    backbone = MODELS.build(dict(type='CoaT', arch=arch))
    backbone.init_weights()
    head = AuxiliaryHead(backbone.out_channels, index)
    masks = torch.ones(1, 64, 64, dtype=torch.int64)
    head.loss(backbone(torch.randn(1, 3, 64, 64)), samples_of(masks))[
        'loss_bce'
    ].backward()
    reached = {
        int(re.search(r'\d', name)[0]) - 1
        for name, p in backbone.named_parameters()
        if p.grad is not None
        and p.grad.abs().sum() > 0
        and not name.startswith('parallel')
    }
    # A serial encoder; the parallel blocks of `tiny` let stages 1.. see one another.
    deepest = index if arch == 'lite_tiny' or index == 0 else 3
    assert reached == set(range(deepest + 1))


@pytest.mark.parametrize('index', [-1, 3, 1.0, True, '1', [], [0, 3], [1, 1], [None]])
def test_a_stage_that_is_not_there_is_refused(index):
    with pytest.raises(ValueError, match=r'in_index=.* has stages 0\.\.2'):
        AuxiliaryHead(WIDTHS, index)
    head = AuxiliaryHead(WIDTHS, 0)
    with pytest.raises(ValueError, match='in_index'):
        head.in_index = index
    assert head.in_index == 0


@pytest.mark.parametrize(
    ('index', 'weight'),
    [(0, -0.1), (0, '1'), (0, float('nan')), ([0, 1], [0.2]), (0, [0.2, 0.1]), (1, [])],
)
def test_weights_that_do_not_fit_are_refused(index, weight):
    with pytest.raises(ValueError, match=r'loss_weight=.* does not fit in_index='):
        AuxiliaryHead(WIDTHS, index, weight)
    head = AuxiliaryHead(WIDTHS, index)
    with pytest.raises(ValueError, match='loss_weight'):
        head.loss_weight = weight
    assert head.loss_weight == 1.0


def test_unknown_target_is_refused():
    with pytest.raises(ValueError, match="target='mean': choose from"):
        AuxiliaryHead(WIDTHS, 0, target='mean')


# --- the schedule -------------------------------------------------------------------


def supervision(schedule, epochs, **options):
    return [supervision_at(e, schedule, epochs, **options) for e in range(epochs)]


def test_stage_is_a_function_of_the_epoch():
    schedule = [dict(begin=b, in_index=i) for b, i in [(0, 1), (60, 0), (100, 2)]]
    stages = [index for index, _ in supervision(schedule, 120)]
    assert stages == [1] * 60 + [0] * 40 + [2] * 20


@pytest.mark.parametrize(
    ('phases', 'stages', 'weights'),
    [
        # weights by hand; 1.0 is the head's
        ([dict(in_index=1), dict(begin=0.5, in_index=0)], [1, 1, 0, 0], [1.0] * 4),
        (
            [dict(in_index=[0, 2], loss_weight=[0.2, 0.1]), dict(begin=3, in_index=2)],
            [[0, 2]] * 3 + [2],
            [[0.2, 0.1]] * 3 + [1.0],
        ),
        (
            [dict(in_index=1, loss_weight=0.4), dict(begin=1, in_index=None)],
            [1, None, None, None],
            [0.4, 1.0, 1.0, 1.0],
        ),
        (
            [dict(in_index=1, loss_weight=0.8, decay='linear')],
            [1] * 4,
            [[0.8], [0.6], [0.4], [0.2]],
        ),
        (
            [
                dict(in_index=1, loss_weight=0.2, decay='linear', end_weight=0.6),
                dict(begin=0.5, in_index=0, loss_weight=0.3),
            ],
            [1, 1, 0, 0],
            [[0.2], [0.4], 0.3, 0.3],
        ),
        (
            [
                dict(
                    in_index=[1, 0],
                    loss_weight=[16, 1],
                    decay='geometric',
                    end_weight=[1, 16],
                )
            ],
            [[1, 0]] * 4,
            [[16, 1], [8, 2], [4, 4], [2, 8]],
        ),
        (
            [dict(in_index=[0, 1], loss_weight=0.4, decay='linear', end_weight=[0, 2])],
            [[0, 1]] * 4,
            [[0.4, 0.4], [0.3, 0.8], [0.2, 1.2], [0.1, 1.6]],
        ),
    ],
)
def test_stages_and_weights_of_each_epoch(phases, stages, weights):
    found = supervision([dict(begin=0) | phase for phase in phases], 4)
    assert [index for index, _ in found] == stages
    for (_, weight), expected in zip(found, weights, strict=True):
        assert weight == pytest.approx(expected)


def test_a_random_stage_depends_on_seed_and_epoch_only():
    schedule = [dict(begin=0, in_index='random', stages=[0, 2])]
    runs = {s: [i for i, _ in supervision(schedule, 400, seed=s)] for s in range(4)}
    assert runs[3][7] == supervision_at(7, schedule, 10, seed=3)[0]
    for stages in runs.values():
        assert set(stages) == {0, 2}
        assert 150 < stages.count(0) < 250  # five standard deviations
    assert len({tuple(stages) for stages in runs.values()}) == 4


# --- in a run -----------------------------------------------------------------------


def test_run_switches_logs_and_freezes_the_idle_stems(tmp_path):
    runner = build(tiny_config(tmp_path, log_level='INFO'))
    runner.train()
    record = hook_of(runner, RecordHook)
    assert record.stages == record.logged == [1, 1, 0, 0]
    # stem 1 learns in the first two epochs, stem 0 in the last two, stem 2 never, and
    # momentum and weight decay move none that is idle
    moved = [
        [not torch.equal(a, b) for a, b in zip(old, new, strict=True)]
        for old, new in pairwise(record.stems)
    ]
    assert moved == [[False, True, False]] * 2 + [[True, False, False]] * 2
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'Auxiliary loss switched: encoder stage 1 -> 0 (0-based) at epoch 3' in log
    assert 'aux.loss_bce' in log
    assert 'aux_in_index' in log
    assert 'nan' not in log


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(train_cfg=dict(max_epochs=2)), 'begins after the last epoch'),
        (
            dict(
                train_cfg=dict(
                    _delete_=True,
                    type='IterBasedTrainLoop',
                    max_iters=8,
                    val_interval=4,
                )
            ),
            'IterBasedTrainLoop',
        ),
        (
            {'custom_hooks.0.schedule.1.in_index': 3},
            r'in_index=3: the auxiliary head has stages 0\.\.2',
        ),
        (dict(model=dict(auxiliary_head=None)), 'BinaryEncoderDecoder has 0'),
        (
            dict(
                model=dict(
                    auxiliary_head=[
                        dict(type='AuxiliaryHead', in_channels=WIDTHS, in_index=i)
                        for i in (0, 1)
                    ]
                )
            ),
            'BinaryEncoderDecoder has 2',
        ),
    ],
)
def test_run_that_cannot_follow_is_refused_before_the_first_step(
    tmp_path, change, message
):
    cfg = tiny_config(tmp_path)
    cfg.param_scheduler = None
    cfg.merge_from_dict(change)
    runner = build(cfg)
    with pytest.raises(ValueError, match=message):
        runner.train()
    assert runner.iter == 0
    assert not runner.optim_wrapper.optimizer.state  # AdamW keeps some from step 1


@pytest.mark.parametrize('stop', mostly_slow([1, 2, 3], [2]))  # 2: at the switch
def test_resumed_run_equals_an_uninterrupted_one(tmp_path, stop):
    whole = build(tiny_config(tmp_path / 'whole'))
    whole.train()

    cfg = tiny_config(tmp_path / 'parts')
    cfg.custom_hooks.append(dict(type='InterruptHook', epoch=stop))
    with pytest.raises(KeyboardInterrupt):
        build(cfg).train()
    resumed = build(tiny_config(tmp_path / 'parts', resume=True))
    resumed.train()

    stages = hook_of(resumed, RecordHook).stages
    assert stages == [1, 1, 0, 0][stop:]
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    assert whole.optim_wrapper.get_lr() == resumed.optim_wrapper.get_lr()
    assert whole.optim_wrapper.get_lr()['lr'][0] < 0.01  # the plateau was met
    best = [run.message_hub.get_info('best_score') for run in (whole, resumed)]
    assert best[0] == best[1]


def test_with_ema_the_average_follows_the_active_stem_only(tmp_path):
    cfg = tiny_config(tmp_path)
    cfg.custom_hooks.append(dict(type='EMAHook', momentum=0.2))
    runner = build(cfg)
    runner.train()
    saved = torch.load(tmp_path / 'epoch_4.pth', weights_only=False)
    ema, last = saved['state_dict'], saved['ema_state_dict']
    key = 'auxiliary_head.stems.{}.weight'
    assert torch.equal(ema[key.format(2)], hook_of(runner, RecordHook).stems[0][2])
    assert not torch.equal(ema[key.format(0)], last['module.' + key.format(0)])
    assert hook_of(runner, RecordHook).stages == [1, 1, 0, 0]


@OPTIM_WRAPPERS.register_module(force=True)
class CpuAmpOptimWrapper(OptimWrapper):
    """bfloat16 autocast on the CPU; mmengine's own wants an accelerator."""

    def optim_context(self, model):
        return torch.autocast('cpu', torch.bfloat16)


@pytest.mark.parametrize(
    'wrapper',
    [
        'CpuAmpOptimWrapper',
        pytest.param(
            'AmpOptimWrapper',
            marks=pytest.mark.skipif(
                not torch.cuda.is_available(), reason='needs an accelerator'
            ),
        ),
    ],
)
def test_switch_under_mixed_precision(tmp_path, wrapper):
    runner = build(tiny_config(tmp_path, **{'optim_wrapper.type': wrapper}))
    runner.train()
    assert hook_of(runner, RecordHook).stages == [1, 1, 0, 0]
    for name, value in runner.model.state_dict().items():
        assert value.isfinite().all(), name
        assert value.dtype != torch.bfloat16, name
    losses = runner.message_hub.get_scalar('train/aux.loss_bce').data[0]
    assert np.isfinite(losses).all()
    assert len(losses) == 8


def test_distributed_run_must_know_of_idle_stems():
    from mmseg_ftu.switched_aux_loss import check_distributed

    class Wrapped(torch.nn.parallel.DistributedDataParallel):
        def __init__(self, find_unused_parameters):
            torch.nn.Module.__init__(self)
            self.find_unused_parameters = find_unused_parameters

    check_distributed(torch.nn.Identity())
    check_distributed(Wrapped(True))
    with pytest.raises(ValueError, match='find_unused_parameters=True'):
        check_distributed(Wrapped(False))
