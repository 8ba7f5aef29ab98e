"""Stands in for the training of a run: ``stub_run.py OUT ID``.

``BEHAVE`` in the environment is JSON, id -> ``fail``, ``wait`` (for ever) or seconds.
"""

import json
import os
import sys
import time
from pathlib import Path

out, name = Path(sys.argv[1]), sys.argv[2]
place = out / 'runs' / name
task = json.loads((place / 'run.json').read_text())
behaviour = json.loads(os.environ.get('BEHAVE', '{}')).get(name, 0)
seen = {k: os.environ.get(k) for k in ('OMP_NUM_THREADS', 'RANK', 'SLURM_PROCID')}
with (place / 'begun.txt').open('a') as file:
    file.write(json.dumps(seen) + '\n')
(place / 'process').write_text(str(os.getpid()))
print('begun', flush=True)
if behaviour == 'wait':
    time.sleep(600)
if behaviour == 'fail':
    sys.exit('CUDA out of memory')
time.sleep(behaviour)
(out / 'records').mkdir(exist_ok=True)
keys = ('study', 'model', 'arm', 'fold', 'seed', 'epochs')
header = ','.join(keys) + ',image,patient,dice,dice_tta\n'
row = ','.join(str(task['run'][key]) for key in keys) + ',i,p,0.5,0.6\n'
(out / 'records' / f'{name}.csv').write_text(header + row)
note = dict(run=task['run'], images=1, dice=0.5, dice_tta=0.6, seconds=60.0)
(out / 'records' / f'{name}.json').write_text(json.dumps(note))
