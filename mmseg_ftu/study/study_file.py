"""The study file: a config in Python that says which runs make a study.

``docs/howto/studies.md`` lists its keys. All is checked when it is read, so that a
mistake does not show after hours.
"""

import re
from codecs import BOM_UTF8
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmseg_ftu.inference.choices import VIEWS
from mmseg_ftu.study.study_design import (
    ENDPOINTS,
    TTA_VIEWS,
    Analysis,
    Arm,
    Contrast,
    Study,
)

NAME = re.compile(r'[A-Za-z0-9]\w*(-\w+)*')
KEYS = {
    *('name', 'data', 'models', 'arms', 'folds', 'seeds', 'epochs', 'views'),
    *('options', 'hooks', 'matrix', 'endpoints', 'analysis', 'curve_points'),
}
ARM_KEYS = {'base', 'options', 'epochs', 'label'}
RESERVED = ('runs', 'curves', 'plan')  # names of collected tables, not of models
MOST = 2**32 - 1  # the largest seed that numpy takes


def read_study(path: str | Path) -> Study:
    """Read and check a study file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read, or a key is unknown, missing or wrong.
    """
    from mmengine.config import Config

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'{path}: there is no such study file')
    if path.read_bytes().startswith(BOM_UTF8):
        raise ValueError(
            f'{path}: begins with a byte order mark; save it as UTF-8 without one'
        )
    try:
        given = Config.fromfile(path, import_custom_modules=False)
    except (Exception, SystemExit) as error:  # it is a program: anything can go wrong
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise ValueError(
            f'{path}: can not be read as a study ({type(error).__name__}: {reason})'
        ) from error
    try:
        return study_of(given.to_dict(), path)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from None


def study_of(given: Mapping[str, Any], path: Path) -> Study:
    """Return the study that the keys of a file describe.

    Raises:
        ValueError: If a key is unknown, missing or wrong.
    """
    known = {key: value for key, value in given.items() if not key.startswith('_')}
    if unknown := sorted(set(known) - KEYS):
        raise ValueError(
            f'unknown keys {", ".join(unknown)}; a study has {", ".join(sorted(KEYS))} '
            '(names of your own begin with an underscore)'
        )
    missing = {'name', 'data', 'models', 'arms', 'folds', 'seeds', 'epochs', 'analysis'}
    if missing := missing - set(known):
        raise ValueError(f'the keys {", ".join(sorted(missing))} are missing')
    models = _mapping('models', known['models'])
    arms = {n: _arm(n, value) for n, value in _mapping('arms', known['arms']).items()}
    for kind, names in (('model', models), ('arm', arms), ('study', [known['name']])):
        _check_names(kind, list(names))
    for name, config in models.items():
        if not isinstance(config, str) or name in RESERVED:
            raise ValueError(
                f'models[{name!r}]={config!r}: give the path of a config, and a name '
                f'other than {", ".join(RESERVED)}, which collected tables have'
            )
    matrix = _matrix(_mapping('matrix', known.get('matrix', {})), models, arms)
    return Study(
        name=known['name'],
        path=path,
        data=Path(str(known['data'])),
        models=models,
        arms=arms,
        folds=_numbers('folds', known['folds']),
        seeds=_numbers('seeds', known['seeds'], most=MOST),
        epochs=_epochs(known['epochs'], models),
        analysis=_analysis(
            _mapping('analysis', known['analysis']),
            arms,
            [matrix.get(model, tuple(arms)) for model in models],
        ),
        views=_choices('views', known.get('views', TTA_VIEWS), VIEWS),
        options=_mapping('options', known.get('options', {})),
        hooks=_hooks(known.get('hooks', ())),
        matrix=matrix,
        endpoints=_choices('endpoints', known.get('endpoints', ENDPOINTS), ENDPOINTS),
        curve_points=_numbers('curve_points', [known.get('curve_points', 10)], 1)[0],
    )


def _mapping(key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f'{key}={value!r}: give a dict')
    return dict(value)


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str) or '\n' in value:
        raise ValueError(f'{key}={value!r}: give a text of one line')
    return value


def _hooks(given: Any) -> tuple[Mapping[str, Any], ...]:
    listed = tuple(given) if isinstance(given, list | tuple) else (given,)
    if any(not isinstance(hook, Mapping) or 'type' not in hook for hook in listed):
        raise ValueError(f'hooks={given!r}: give a list of dict(type=...)')
    return listed


def _arm(name: str, value: Any) -> Arm:
    given = _mapping(f'arms[{name!r}]', value or {})
    if unknown := sorted(set(given) - ARM_KEYS):
        raise ValueError(
            f'arms[{name!r}] has unknown keys {", ".join(unknown)}; an arm has '
            + ', '.join(sorted(ARM_KEYS))
        )
    base = given.get('base', ())
    base = (base,) if isinstance(base, str) else base
    if not isinstance(base, list | tuple) or any(type(b) is not str for b in base):
        raise ValueError(f'arms[{name!r}].base={base!r}: give paths of config files')
    epochs = given.get('epochs')
    if epochs is not None:
        _numbers(f'arms[{name!r}].epochs', [epochs], 1)
    return Arm(
        name,
        tuple(base),
        _mapping(f'arms[{name!r}].options', given.get('options', {})),
        epochs,
        _text(f'arms[{name!r}].label', given.get('label', '')),
    )


def _check_names(kind: str, names: list[Any]) -> None:
    if not names:
        raise ValueError(f'there is no {kind}')
    for name in names:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ValueError(
                f'{kind} {name!r}: use letters, digits, underscores and single hyphens '
                'between them, since files are named by it'
            )


def _numbers(
    key: str, values: Any, least: int = 0, most: int | None = None
) -> tuple[int, ...]:
    numbers = tuple(values) if isinstance(values, list | tuple | range) else ()
    whole = all(
        type(n) is int and n >= least and (most is None or n <= most) for n in numbers
    )
    if not numbers or not whole or len({*numbers}) < len(numbers):
        end = '' if most is None else f' to {most}'
        raise ValueError(
            f'{key}={values!r}: give different whole numbers from {least}{end}'
        )
    return numbers


def _epochs(given: Any, models: Mapping[str, str]) -> dict[str, int]:
    epochs = dict(given) if isinstance(given, Mapping) else dict.fromkeys(models, given)
    if unknown := sorted(set(epochs) - set(models)):
        raise ValueError(f'epochs names {", ".join(unknown)}, which is not in models')
    for model in models:
        if model not in epochs:
            raise ValueError(f'epochs has no entry for the model {model}')
        _numbers(f'epochs of {model}', [epochs[model]], 1)
    return {model: epochs[model] for model in models}


def _choices(key: str, given: Any, known: Collection[str]) -> tuple[str, ...]:
    listed = isinstance(given, list | tuple)
    values = tuple(given) if listed else (given,)
    if (
        not values
        or any(type(value) is not str for value in values)
        or set(values) - set(known)
        or len({*values}) < len(values)
    ):
        raise ValueError(f'{key}={given!r}: choose from {", ".join(known)}')
    return values


def _matrix(
    given: Mapping[str, Any], models: Mapping[str, str], arms: Mapping[str, Arm]
) -> dict[str, tuple[str, ...]]:
    if unknown := sorted(set(given) - set(models)):
        raise ValueError(f'matrix names {", ".join(unknown)}, which is not in models')
    return {m: _choices(f'matrix[{m!r}]', names, arms) for m, names in given.items()}


def _analysis(
    given: dict[str, Any], arms: Mapping[str, Arm], together: Sequence[Sequence[str]]
) -> Analysis:
    """Read the plan of the analysis.

    Args:
        given: Its keys.
        arms: The arms of the study.
        together: The arms of each model.
    """
    known = set(Analysis.__dataclass_fields__)
    if unknown := sorted(set(given) - known):
        raise ValueError(
            f'analysis has unknown keys {", ".join(unknown)}; it has '
            + ', '.join(sorted(known))
        )
    if missing := sorted({'date', 'contrasts'} - set(given)):
        raise ValueError(f'analysis lacks {", ".join(missing)}')
    pairs = given.pop('contrasts')
    if not isinstance(pairs, list | tuple):
        raise ValueError(f'analysis.contrasts={pairs!r}: give a list of pairs of arms')
    contrasts = tuple(_contrast(pair, arms, together) for pair in pairs)
    if len({frozenset((c.a, c.b)) for c in contrasts}) < len(contrasts):
        raise ValueError(
            'analysis.contrasts has a pair of arms twice, which would count twice when '
            'p is adjusted'
        )
    reference = given.pop('reference', next(iter(arms)))
    if not isinstance(reference, str) or reference not in arms:
        raise ValueError(f'analysis.reference={reference!r} is not one of the arms')
    for key in ('date', 'question'):
        _text(f'analysis.{key}', given.get(key, ''))
    margin = given.get('margin', Analysis.margin)
    if type(margin) not in (int, float) or not 0 < margin < 1:
        raise ValueError(f'analysis.margin={margin!r}: give a Dice above 0, below 1')
    plan = Analysis(contrasts=contrasts, reference=reference, **given)
    _numbers('analysis.resamples', [plan.resamples], 100)
    _numbers('analysis.seed', [plan.seed])
    return plan


def _contrast(
    pair: Any, arms: Mapping[str, Arm], together: Sequence[Sequence[str]]
) -> Contrast:
    names = tuple(pair) if isinstance(pair, list | tuple) else ()
    if len(names) != 2 or set(names) - set(arms) or names[0] == names[1]:
        raise ValueError(
            f'analysis.contrasts: {pair!r} is not a pair of two different arms out of '
            + ', '.join(arms)
        )
    if not any({*names} <= {*of_model} for of_model in together):
        raise ValueError(
            f'analysis.contrasts: no model has both arms of {pair!r} (matrix)'
        )
    return Contrast(*names)
