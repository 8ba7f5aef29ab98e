"""The commands: arguments, messages and exit codes, the same for all."""

import argparse
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from quick_and_slow import mostly_slow

from mmseg_ftu import cli
from mmseg_ftu.cli import COMMANDS, main, run_command
from mmseg_ftu.commands.cfg_options import read_cfg_options

ROOT = Path(__file__).resolve().parents[1]


def test_every_tool_is_a_command_and_the_reverse():
    tools = {path.stem for path in (ROOT / 'tools').glob('*.py')}
    assert tools == {*COMMANDS.values()}
    assert len(tools) >= 13


def test_overview_and_version(capsys):
    assert main(['--help']) == 0
    listed = capsys.readouterr().out
    assert all(f'  {command} ' in listed for command in COMMANDS)
    assert main(['--version']) == 0
    assert capsys.readouterr().out.startswith('mmseg_ftu ')


@pytest.mark.parametrize('group', ['prepare', 'export'])
def test_a_group_lists_its_commands(capsys, group):
    assert main([group, '--help']) == 0
    listed = capsys.readouterr().out
    for command in COMMANDS:
        assert (f'  {command} ' in listed) is command.startswith(group)


@pytest.mark.parametrize('words', [[], ['predit'], ['prepare'], ['prepare', 'x']])
def test_words_that_are_no_command(words, capsys):
    assert main(words) == 2
    assert 'error: ' in capsys.readouterr().err


@pytest.mark.parametrize('command', COMMANDS)
def test_help_of_each_command(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([*command.split(), '--help'])
    assert end.value.code == 0
    assert f'usage: mmseg-ftu {command}' in capsys.readouterr().out


@pytest.mark.parametrize('command', COMMANDS.values())
def test_ctrl_c_while_importing_is_one_line(command, monkeypatch, capsys):
    def interrupt(name):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, 'import_module', interrupt)
    assert run_command(command, []) == 130
    assert capsys.readouterr().err == 'stopped\n'


def arguments_of(module):
    """Return the arguments of a command, those of its actions among them."""
    command = import_module(f'mmseg_ftu.commands.{module}')
    found = [*cli.make_parser(command, None)._actions]
    for actions in [a for a in found if isinstance(a, argparse._SubParsersAction)]:
        found += [arg for parser in actions.choices.values() for arg in parser._actions]
    return found


def options_of(module):
    names = {name for arg in arguments_of(module) for name in arg.option_strings}
    return {name for name in names if name.startswith('--')}


#: How a help text that is no whole phrase begins.
HALF = (
    r'(of|in|or|to|that|its|the same|with|at|by|made|given|averaged|default|um)\b'
    r'|[^A-Za-z]'
)


@pytest.mark.parametrize('command', COMMANDS)
def test_every_argument_has_a_help_that_can_be_read_alone(command):
    halves = {
        argument.dest: argument.help
        for argument in arguments_of(COMMANDS[command])
        if not argument.help or re.match(HALF, argument.help, re.IGNORECASE)
    }
    assert halves == {}


@pytest.mark.parametrize('command', COMMANDS)
def test_every_option_is_documented(command):
    pages = [ROOT / 'README.md', *(ROOT / 'docs').rglob('*.md')]
    text = '\n'.join(page.read_text(encoding='utf-8') for page in pages)
    documented = set(re.findall(r'(?<![\w-])--[a-z0-9][\w-]*', text))
    options = options_of(COMMANDS[command])
    assert '--help' in options
    assert sorted(options - documented) == []


def test_help_loads_nothing_heavy():
    code = (
        'import sys\n'
        'from mmseg_ftu.cli import COMMANDS, main\n'
        'main(["--help"])\n'
        'print(sorted({"torch", "mmengine", "cv2", "pandas"} & {*sys.modules}))'
    )
    done = subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout.splitlines()[-1] == '[]'


@pytest.mark.parametrize(
    ('content', 'options', 'message'),
    [
        (None, [], 'there is no such config'),
        ('model = dict(', [], 'can not be read as a config (SyntaxError'),
        ('model = undefined_name', [], 'can not be read as a config'),
        ('a = 1', [], 'holds no "model"'),
        ('model = dict()', ['--cfg-options', 'foo'], 'foo: write KEY=VALUE'),
        ('model = dict()', ['--cfg-options', '=1'], '=1: write KEY=VALUE'),
        ('model = dict()', ['--batch-size', '0'], 'batch_size=0: give at least 1'),
        ('model = dict()', ['--scales', '1e9'], 'give positive factors up to 8'),
        ('model = dict()', ['--size', '100000000'], 'give 16384 px at most'),
        ('model = dict()', ['--pixel-size', '1e-300'], 'give um/px, 0.01 to 100'),
        ('model = dict()', ['--simplify', 'inf'], 'simplify=inf: give 0 or more'),
    ],
)
def test_wrong_arguments_of_predict(tmp_path, capsys, content, options, message):
    config, image = tmp_path / 'config.py', tmp_path / 'in' / 'a.png'
    if content:
        config.write_text(content)
    image.parent.mkdir()
    image.write_bytes(b'x')
    words = [str(config), 'none.pth', '--input', str(image), '--device', 'cpu']
    words += ['--output', str(tmp_path / 'out'), *options]
    assert run_command('predict', words) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: ')
    assert message in error
    assert 'Traceback' not in error


def test_the_cause_of_a_sentence_can_be_seen(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('MMSEG_FTU_TRACEBACK', '1')
    assert run_command('evaluate', [str(tmp_path), str(tmp_path / 'no')]) == 2
    assert 'Traceback' in capsys.readouterr().err


def test_an_error_of_the_program_keeps_its_traceback(monkeypatch, capsys):
    def broken(name):
        return int('not by this package')

    monkeypatch.setattr(cli, 'import_module', broken)
    assert run_command('train', []) == 1
    assert 'Traceback' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('texts', 'expected'),
    [
        (None, None),
        (['a.b=1', 'c=[1,2]'], {'a.b': 1, 'c': [1, 2]}),
        (['x=a=b', 'y=True'], {'x': 'a=b', 'y': True}),
    ],
)
def test_cfg_options(texts, expected):
    assert read_cfg_options(texts) == expected


QUIET = {
    'prepare_pairs': ['nowhere', 'there', '--organ', 'kidney'],
    'prepare_hubmap': ['nowhere', 'there'],
    'evaluate': ['nowhere', 'nowhere'],
    'units': ['nowhere', '--out', 'there'],
    'report': ['nowhere'],
    'view': ['nowhere', '--no-browser'],
    'fit_thresholds': ['nowhere', 'nowhere', '--out', 'a.json'],
    'make_stain_target': ['nowhere', 'there'],
    'draw_stains': ['nowhere', 'there.json', 'a.png'],
    'colour_baseline': ['nowhere'],
    'make_sample_data': ['there', '--images', '0'],
    'predict': ['no.py', 'no.pth', '--input', 'nowhere', '--output', 'there'],
    'study': ['run', 'no.py', '--out', 'nowhere'],
    'train': ['no.py'],
    'test': ['no.py', 'no.pth'],
}
QUICK = ['prepare_pairs', 'evaluate', 'report', 'make_sample_data', 'train']


@pytest.mark.parametrize('command', mostly_slow(QUIET, QUICK))
def test_a_mistake_is_one_line_and_nothing_else(command, tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / 'tools' / f'{command}.py', *QUIET[command]],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert done.stdout == ''
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith('error: ')


def raising(error):
    def run(name):
        raise error

    return run


def test_ctrl_c_inside_another_error(monkeypatch, capsys):
    error = SyntaxError('Failed to format the config file')
    error.__context__ = KeyboardInterrupt()
    monkeypatch.setattr(cli, 'import_module', raising(error))
    assert run_command('train', []) == 130
    assert capsys.readouterr().err == 'stopped\n'


def test_a_full_disk_is_no_wrong_input(monkeypatch, capsys):
    error = OSError(28, 'No space left on device')
    monkeypatch.setattr(cli, 'import_module', raising(error))
    assert run_command('train', []) == 1
    assert 'No space left' in capsys.readouterr().err


def test_other_errors_of_the_program_are_raised(monkeypatch):
    monkeypatch.setattr(cli, 'import_module', raising(RuntimeError('a bug')))
    with pytest.raises(RuntimeError, match='a bug'):
        run_command('train', [])


@pytest.mark.parametrize('module', ['mmseg_ftu', 'mmseg_ftu.cli'])
def test_the_package_runs_as_a_module(module):
    done = subprocess.run(
        [sys.executable, '-W', 'error::RuntimeWarning', '-m', module, '--version'],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout.startswith('mmseg_ftu ')
