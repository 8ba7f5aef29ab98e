"""The same question on a second tissue: 78 regions of kidney, H&E and PAS, 20 sections.

Data: ``python benchmarks/tissue_sets.py "kidney regions" data/kidney``, 512 px wide.
Written before the first run.
"""

import os

_base_ = './switch_glas.py'
name = 'switch-kidney'
data = os.environ.get('FTU_KIDNEY', 'data/kidney/prepared')
models = dict(_delete_=True, slim_coat='../../configs/tissue/coat_slim_daformer.py')
matrix = dict(
    _delete_=True, slim_coat=['normal', 'switch', 'fixed_1', 'switch_restart']
)
epochs = dict(_delete_=True, slim_coat=36)
hooks = []
analysis = dict(
    _delete_=True,
    date='2026-11-28',
    question=(
        'Does what the study of GlaS finds for the switch hold for glomeruli of the '
        'kidney? The same bounds count: a yes is an interval above 0 with p below .05, '
        'no relevant difference an interval within -.01 to .01, else the answer is '
        'that this data cannot tell. A cluster is a section; sections of one person '
        'may be several clusters, since the source does not say whose they are.'
    ),
    contrasts=[('switch', 'normal'), ('switch', 'fixed_1')],
    reference='normal',
    margin=0.01,
)
