"""The lists of experiments, for people and for mim, name what is there."""

import re
from pathlib import Path

import modelindex
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[2]
FTU = ROOT / 'configs' / 'ftu'
CONFIGS = sorted(p.name for p in FTU.glob('*.py'))


def test_the_table_names_all_21():
    page = 'configs/ftu/README.md'
    links = re.findall(r'\(([\w/]+\.py)\)', (ROOT / page).read_text())
    named = [link for link in links if Path(link).name in CONFIGS]
    rows = [link for link in named if '| ' not in link]
    assert {Path(link).name for link in rows} == set(CONFIGS)
    for link in rows:
        assert ((ROOT / page).parent / link).is_file(), link


def test_metafile_is_valid_for_mim():
    index = modelindex.load(str(ROOT / 'model-index.yml'))
    index.build_models_with_collections()
    assert sorted(Path(m.config).name for m in index.models) == CONFIGS
    for model in index.models:
        assert (ROOT / model.config).is_file()
        assert model.metadata.batch_size == 4
        assert Config.fromfile(ROOT / model.config).train_cfg.max_epochs == 120
        for result in model.results:
            assert all(0.6 < value < 0.8 for value in result.metrics.values())
    (collection,) = index.collections
    assert (ROOT / collection.readme).is_file()
