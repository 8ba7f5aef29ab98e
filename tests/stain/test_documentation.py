"""The example of docs/howto/stain.md does what it says, as it stands there."""

import re
from pathlib import Path

import numpy as np
from sections import section

PAGE = Path(__file__).resolve().parents[2] / 'docs/howto/stain.md'
OTHER = ([0.5, 0.75, 0.43], [0.1, 0.95, 0.25])


def test_the_example_of_a_slide_has_no_seams():
    (code,) = re.findall(r'```python\n(.*?)```', PAGE.read_text('utf-8'), re.DOTALL)
    slide = section(1, 300, OTHER)
    corners = [(top, left) for top in (0, 128, 256) for left in (0, 100, 200)]
    tiles = [slide[top : top + 128, left : left + 100] for top, left in corners]
    names = dict(target=section(2), image=section(3, stains=OTHER), tiles=tiles)
    names['thumbnail'] = slide[::4, ::4]
    exec(code, names)
    normalizer = names['normalizer']
    assert np.array_equal(names['out'], normalizer.transform(names['image']))
    whole, rows = normalizer.transform(slide), []
    for first in (0, 3, 6):
        rows.append(np.hstack(names['painted'][first : first + 3]))
    assert np.array_equal(np.vstack(rows), whole)
    assert np.abs(whole.astype(int) - slide).mean() > 3
