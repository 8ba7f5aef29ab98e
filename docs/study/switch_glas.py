"""Is the switched auxiliary loss better than none, on few real images of glands?

Data: GlaS, 126 images of 11 patients at half resolution (``prepare_pairs.py`` with
``--index index.csv --id-column name --group-column patient --organ colon``).
Written before the first run.
"""

import os

name = 'switch-glas'
data = os.environ.get('FTU_DATA', 'data/glas')
_configs = '../../configs'
_aux = f'{_configs}/_base_/aux_loss.py'


def _arm(file, label, aux=True):
    base = [_aux] * aux + [f'{_configs}/_base_/arms/{file}.py']
    return dict(base=base, label=label)


arms = dict(
    normal=_arm('none', 'no auxiliary loss', aux=False),
    switch=_arm('switch_1_to_0', 'switch 1 to 0 (the paper)'),
    fixed_1=_arm('fixed_1', 'fixed on stage 1'),
    fixed_0=_arm('fixed_0', 'fixed on stage 0'),
    switch_restart=_arm('switch_restart', 'switch and warm restart (the authors)'),
    restart_only=_arm('restart_only', 'warm restart only', aux=False),
    reverse=_arm('switch_0_to_1', 'switch 0 to 1'),
    all_stages=_arm('all_stages', 'all stages, 1/2^i'),
    linear_decay=_arm('linear_decay', 'stage 1, decays to 0'),
    on_then_off=_arm('on_then_off', 'stage 1, then off'),
    random_stage=_arm('random_stage', 'stage 0 or 1 at random'),
)
_main = ['normal', 'switch', 'fixed_1', 'switch_restart']
models = dict(
    slim_coat=f'{_configs}/tissue/coat_slim_daformer.py',
    mit_b0=f'{_configs}/tissue/mit_b0_daformer.py',
    pvtv2_b0=f'{_configs}/tissue/pvtv2_b0_daformer.py',
    resnet18_unet=f'{_configs}/tissue/resnet18_unet.py',
    lite0_unet=f'{_configs}/tissue/lite0_unet.py',
)
# the primary model gets all arms, the others those of the main contrasts
matrix = {model: _main for model in models if model != 'slim_coat'}
folds = [0, 1, 2, 3, 4]
seeds = [0, 1, 2]
epochs = dict(slim_coat=24, mit_b0=24, pvtv2_b0=24, resnet18_unet=24, lite0_unet=24)
options = {'optim_wrapper.type': 'Bf16OptimWrapper'}
hooks = [dict(type='GradientNormHook', interval=26)]
endpoints = ['dice', 'dice_tta']
analysis = dict(
    date='2026-11-26',
    question=(
        'Does the switched auxiliary loss (weight 0.2, stage 1, then stage 0 at half '
        'time) give a higher mean Dice of held-out images than no auxiliary loss, by '
        'more than 0.01? It would count as a yes if the 95 % interval of the mean '
        'difference of the primary model (slim CoaT), out of fold over all patients, '
        'lay above 0 and the p-value adjusted by Holm were below .05; as relevant if '
        'the interval lay above .01; as no relevant difference if it lay within '
        '-.01 to .01; else the answer is that this data cannot tell.'
    ),
    contrasts=[
        ('switch', 'normal'),
        ('switch', 'fixed_1'),
        ('switch_restart', 'restart_only'),
        ('restart_only', 'normal'),
        ('switch', 'reverse'),
        ('all_stages', 'normal'),
    ],
    reference='normal',
    margin=0.01,
)
