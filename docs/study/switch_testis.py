"""The same question on a third tissue: 31 images of tubules of the testis, 7 animals.

Data: ``python benchmarks/tissue_sets.py testis data/testis``.
Written before the first run.
"""

import os

_base_ = './switch_kidney.py'
name = 'switch-testis'
data = os.environ.get('FTU_TESTIS', 'data/testis/prepared')
epochs = dict(slim_coat=84)
analysis = dict(
    question=(
        'Does what the study of GlaS finds for the switch hold for the epithelium of '
        'tubules in the testis of minks and polar bears? The same bounds count: a yes '
        'is an interval above 0 with p below .05, no relevant difference an interval '
        'within -.01 to .01, else the answer is that this data cannot tell. A cluster '
        'is an animal.'
    ),
)
