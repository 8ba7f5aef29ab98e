import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import run

ROOT = Path(__file__).parents[2]
# run.py runs them; the others are shared modules
SHARED = {
    *('accuracy_calibration', 'accuracy_records', 'contestants', 'guard', 'machine'),
    *('peak_memory', 'performance_page', 'ratios', 'result_tables'),
    *('run', 'side_by_side', 'slide_contestants', 'slide_inputs', 'slide_steps'),
    *('stopwatch', 'tissue_peers', 'tissue_sets'),
}


def test_every_benchmark_is_run():
    scripts = {path.stem for path in (ROOT / 'benchmarks').glob('*.py')} - SHARED
    assert {benchmark.words.split()[0] for benchmark in run.BENCHMARKS} == scripts


def test_folders_are_filled_in(tmp_path):
    accuracy = run.BENCHMARKS[-1].command(tmp_path)
    assert accuracy[0] == 'benchmarks/accuracy.py'
    assert accuracy[-1] == f'{tmp_path}/accuracy'


def test_a_page_shows_no_places_of_a_machine():
    for benchmark in run.BENCHMARKS:
        shown = benchmark.shown(['lazyslide=/my/python'])
        assert not any(word.startswith('/') or '=/' in word for word in shown)
    (slides,) = (b for b in run.BENCHMARKS if b.name == 'large slides')
    assert slides.shown(['lazyslide=/my/python']) == [
        *('benchmarks/slides.py', '--rounds', '1', '--settings', 'freed memory kept'),
        *('--python', 'lazyslide=PYTHON'),
    ]
    assert slides.command(Path(), ['a=/my/python'])[-1] == 'a=/my/python'


def test_what_would_not_end_in_time_is_left_out():
    benchmark = run.Benchmark('long', 'long', 5)
    found = run.run_within(benchmark, ['benchmarks/none.py'], [], time.monotonic() + 60)
    assert found.status.startswith('left out: takes about 5 minutes')
    assert found.output == ''


@pytest.mark.parametrize(
    ('code', 'limit', 'status', 'output'),
    [
        ('print("| a |")', 60, 'done', '| a |\n'),
        ('raise SystemExit("why")', 60, 'failed with exit code 1: why', ''),
        ('print(1, flush=True); import time; time.sleep(60)', 2, 'ended', '1\n'),
    ],
)
def test_status_of_a_script(tmp_path, code, limit, status, output):
    script = tmp_path / 'script.py'
    script.write_text(code)
    found = run.run_command([str(script)], limit)
    assert found[0].startswith(status)
    assert found[1] in (output, '')  # a busy machine may not come to print


def start(tmp_path, *words):
    command = [sys.executable, str(ROOT / 'benchmarks' / 'run.py'), *words]
    command += ['--out', str(tmp_path / 'out')]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['--minutes', '0'], '--minutes 0: give a number above 0'),
        (['--minutes', 'nan'], '--minutes nan: give a number above 0'),
        (['--python', f'={sys.executable}'], 'there is no such file'),
        (['--python', 'lazyslide=/no'], 'lazyslide=/no: there is no such file'),
        ([], '--out: [Errno 17] File exists: '),
    ],
)
def test_faulty_arguments_are_named_before_the_work(tmp_path, words, message):
    if not words:
        (tmp_path / 'out').write_text('mine')
    child = start(tmp_path, *words)
    assert message in child.communicate()[1].decode()
    assert child.returncode == 2


def test_results_that_are_there_are_kept(tmp_path, monkeypatch, capsys):
    (tmp_path / 'bench.md').write_text('my notes')
    monkeypatch.setattr(
        run, 'run_all', lambda args, *_: run.write(args.out, {}, []) or 0
    )
    monkeypatch.setattr('sys.argv', ['run.py', '--out', str(tmp_path)])
    monkeypatch.setattr(run.signal, 'signal', lambda *_: None)
    for _ in range(2):
        assert run.main() == 0
    assert 'bench.md is kept as bench.md.earlier2' in capsys.readouterr().out
    assert (tmp_path / 'bench.md.earlier').read_text() == 'my notes'
    assert (tmp_path / 'bench.md.earlier2').is_file()


def resume(tmp_path, monkeypatch, found, machine, *words, within=None):
    (tmp_path / 'bench.json').write_text(json.dumps(found))
    monkeypatch.setattr(run, 'describe_machine', lambda: machine)
    monkeypatch.setattr(run.signal, 'signal', lambda *_: None)
    done = within or (lambda b, c, shown, e: run.Run(b.name, shown, 'done'))
    monkeypatch.setattr(run, 'run_within', done)
    command = ['run.py', '--resume', '--out', str(tmp_path), *words]
    monkeypatch.setattr('sys.argv', command)
    run.main()
    return json.loads((tmp_path / 'bench.json').read_text())


def earlier_run(name, status='done', **other):
    (benchmark,) = (b for b in run.BENCHMARKS if b.name == name)
    done = run.Run(name, benchmark.shown(), status, {}, 3.0, 'as it was\n')
    return run.asdict(done) | other


def test_resume_keeps_what_is_done_and_runs_the_others(tmp_path, monkeypatch):
    runs = [
        earlier_run('predict'),
        earlier_run('slides', command=['benchmarks/slides.py', '--python', 'a=PYTHON']),
        earlier_run('startup', 'failed with exit code 1: x'),
        earlier_run('geojson', command=['benchmarks/geojson.py', '--other']),
    ]
    found = dict(machine=dict(cores='2', load='0.1'), runs=runs)
    only = '--only', 'startup', 'geojson'
    now = dict(cores='2', load='2.0')
    after = resume(tmp_path, monkeypatch, found, now, *only)['runs']
    assert json.loads((tmp_path / 'bench.json.earlier').read_text()) == found
    outputs = {r['name']: r['output'] for r in after}
    assert outputs == {
        'predict': 'as it was\n',
        'slides': 'as it was\n',  # not asked for again
        'startup': '',
        'geojson': '',
    }


def test_a_killed_resume_keeps_what_was_done(tmp_path, monkeypatch):
    found = dict(machine=dict(cores='2', load='0.1'), runs=[earlier_run('stain')])

    def killed(*_):
        raise SystemExit(143)

    with pytest.raises(SystemExit):
        resume(tmp_path, monkeypatch, found, dict(cores='2', load='1'), within=killed)
    after = json.loads((tmp_path / 'bench.json').read_text())
    assert [r['name'] for r in after['runs']] == ['stain']
    assert after['machine']['load'] == '0.1; resumed at 1'


@pytest.mark.parametrize(
    ('found', 'message'),
    [
        ({}, 'is not a bench.json of this script'),
        (dict(machine=None, runs=[]), 'is not a bench.json of this script'),
        (dict(machine=[], runs={'a': 1}), 'is not a bench.json of this script'),
        (
            dict(machine=dict(cores='4'), runs=[]),
            'cores was 4 and is 2; leave --resume',
        ),
        (dict(machine=dict(cores='2', GPU='A'), runs=[]), 'GPU was A and is not set'),
    ],
)
def test_resume_refuses_what_does_not_belong(
    tmp_path, monkeypatch, capsys, found, message
):
    with pytest.raises(SystemExit):
        resume(tmp_path, monkeypatch, found, dict(cores='2'))
    assert message in capsys.readouterr().err
    assert json.loads((tmp_path / 'bench.json').read_text()) == found


def test_ctrl_c_ends_the_script_too(monkeypatch, tmp_path):
    script, noted = tmp_path / 'script.py', tmp_path / 'process'
    script.write_text(
        f'import os, time; open({str(noted)!r}, "w").write(str(os.getpid()) + " ")\n'
        'time.sleep(60)'
    )

    def interrupt(child, timeout=None):
        while not (noted.is_file() and noted.read_text().endswith(' ')):
            time.sleep(0.05)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, 'communicate', interrupt)
    with pytest.raises(KeyboardInterrupt):
        run.run_command([str(script)], 60)
    process = int(noted.read_text())
    deadline = time.monotonic() + 20
    while is_alive(process) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(process)


def is_alive(process: int) -> bool:
    """Tell whether a process runs; one that is ended but not waited for does not."""
    status = Path(f'/proc/{process}/stat')
    return status.is_file() and status.read_text().split()[2] != 'Z'


def test_settings_reach_the_script_and_the_page(tmp_path):
    script = tmp_path / 'script.py'
    script.write_text('import os; print("KEEP is", os.environ["KEEP"])')
    benchmark = run.Benchmark('one', 'script', 1, {'KEEP': '1'})
    found = run.run_within(benchmark, [str(script)], ['shown'], time.monotonic() + 120)
    assert (found.status, found.output) == ('done', 'KEEP is 1\n')
    assert 'KEEP=1 python shown' in '\n'.join(run.page({}, [found]))


def test_a_bar_in_a_message_does_not_end_a_cell():
    found = run.Run('one', [], 'failed with exit code 1: 50%|## | 1/2')
    assert r'| one | failed with exit code 1: 50%\|## \| 1/2 | 0 |' in [
        *run.page({}, [found])
    ]


def test_tables_stay_apart():
    lines = run.as_markdown('| a |\n|---|\n| 1 |\n\n| b |\n|---|\n| 2 |\n')
    expected = ['| a |', '|---|', '| 1 |', '', '| b |', '|---|', '| 2 |']
    assert list(lines)[-7:] == expected


def test_page_and_numbers(tmp_path):
    table = '| a | times slower |\n|---|---|\n| b | 2.0 (1.5 to 3.0) |\n'
    output = f'said\nCould not import OneDL\n\n{table}'
    runs = [
        run.Run('one', ['benchmarks/one.py'], 'done', {}, 3.2, output),
        run.Run('two', ['benchmarks/two.py'], 'left out: x'),
    ]
    run.write(tmp_path, {'processor': 'Fast 9'}, runs)
    page = (tmp_path / 'bench.md').read_text()
    assert '| processor | Fast 9 |' in page
    assert '| two | left out: x | 0 |' in page
    assert '```text\nsaid\n```\n\n| a | times slower |\n|---|---|\n| b |' in page
    numbers = json.loads((tmp_path / 'bench.json').read_text())
    assert numbers['machine'] == {'processor': 'Fast 9'}
    assert numbers['runs'][0]['ratios'] == [
        {
            'row': {'a': 'b', 'times slower': '2.0 (1.5 to 3.0)'},
            'column': 'times slower',
            'median': 2.0,
            'low': 1.5,
            'high': 3.0,
        }
    ]
