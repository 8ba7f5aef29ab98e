"""Time contestants by turns in one process; what train_step.py and inference.py share.

Machines are noisy, so contestants take turns in every round, and what counts is the
ratio within a round: each table gives the median time and the median ratio with its
range.
"""

import argparse
import gc
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from statistics import median

import torch
from contestants import GROUPS, build_group, encoder
from peak_memory import peak_mib
from ratios import ratio_cell, ratios
from torch import nn

Step = Callable[[nn.Module, torch.Tensor], None]


def parse_args(doc: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--models', nargs='+', default=list(GROUPS), metavar='NAME', help='rows to run'
    )
    parser.add_argument(
        '--against', nargs='+', metavar='NAME', help='contestants beside ours'
    )
    parser.add_argument('--size', type=int, default=768, help='image side, px')
    parser.add_argument('--batch', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument(
        '--device', default='cuda' if torch.cuda.is_available() else 'cpu'
    )
    parser.add_argument('--bf16', action='store_true', help='autocast to bfloat16')
    parser.add_argument('--channels-last', action='store_true')
    parser.add_argument('--compile', action='store_true', help='torch.compile all')
    parser.add_argument(
        '--memory', action='store_true', help="measure a CPU's peak memory too (Linux)"
    )
    parser.add_argument(
        '--encoder', action='store_true', help='the encoders alone (training)'
    )
    parser.add_argument('--probe', nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    unknown = set(args.models) - set(GROUPS)
    if unknown:
        parser.error(f'--models: unknown {sorted(unknown)}, choose from {list(GROUPS)}')
    peers = {name for model in args.models for name in GROUPS[model]} - {'ours'}
    if unknown := set(args.against or ()) - peers:
        parser.error(f'--against: unknown {sorted(unknown)}, choose from {peers}')
    return args


def chosen(args: argparse.Namespace, name: str) -> list[str]:
    """Return the contestants of a model that take part, ours first."""
    if args.against is None:
        return list(GROUPS[name])
    return [key for key in GROUPS[name] if key == 'ours' or key in args.against]


def precision(args: argparse.Namespace) -> AbstractContextManager:
    if args.bf16:
        return torch.autocast(args.device, torch.bfloat16)
    return nullcontext()


def run(args: argparse.Namespace, step: Step, training: bool) -> None:
    """Print a table of all chosen models, or what ``--probe`` asks for."""
    if args.probe:
        print(probe(args, step, training))
        return
    print(describe(args), flush=True)
    memory = args.memory or args.device == 'cuda'
    print('| model | contestant | s | times slower |' + ' peak MiB |' * memory)
    print('|---|---|---|---|' + '---|' * memory)
    for name in args.models:
        for line in compare(args, name, step, training):
            print(line, flush=True)


def compare(
    args: argparse.Namespace, name: str, step: Step, training: bool
) -> list[str]:
    """Time the contestants of a model and return the rows of the table."""
    models = {
        key: prepare(args, model, training)
        for key, model in build_group(name, args.size, chosen(args, name)).items()
    }
    x = images(args, name, training)
    peaks = {key: warm_up(args, step, model, x) for key, model in models.items()}
    times = {key: [] for key in models}
    repeats = 10 if args.device == 'cuda' else 1
    for turn in range(args.rounds):
        for key in list(models)[:: -1 if turn % 2 else 1]:  # none is always first
            times[key].append(clock(args, partial(step, models[key], x), repeats))
    del models
    gc.collect()
    rows = []
    for key in times:
        ratio = '' if key == 'ours' else ratio_cell(ratios(times[key], times['ours']))
        row = f'| {name} | {key} | {median(times[key]):.3g} | {ratio} |'
        peak = probe_apart(name, key) if args.memory else peaks[key]
        rows.append(row + ('' if peak is None else f' {peak:.0f} |'))
    return rows


def prepare(args: argparse.Namespace, model: nn.Module, training: bool) -> nn.Module:
    """Bring a contestant to the device and the options of the run."""
    model = encoder(model) if args.encoder else model
    model = model.to(args.device)
    model.train(training)  # mmseg's ResNet does not return itself
    if args.channels_last:
        model = model.to(memory_format=torch.channels_last)
    return torch.compile(model) if args.compile else model


def images(args: argparse.Namespace, name: str, training: bool) -> torch.Tensor:
    # DeepLabv3+'s image pooling cannot train its norm on one image
    batch = max(args.batch, 2) if training and 'DeepLab' in name else args.batch
    x = torch.rand(batch, 3, args.size, args.size, device=args.device) * 2 - 1
    if args.channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    return x


def warm_up(
    args: argparse.Namespace, step: Step, model: nn.Module, x: torch.Tensor
) -> float | None:
    """Run a few steps; return the peak memory of a GPU in MiB."""
    if args.device != 'cuda':
        step(model, x)
        return None
    torch.cuda.reset_peak_memory_stats()
    for _ in range(3):
        step(model, x)
    return torch.cuda.max_memory_allocated() / 2**20


def probe_apart(name: str, contestant: str) -> float:
    """Return the peak memory of a step in a fresh process, in MiB.

    Later contestants of one process would use what earlier ones left.
    """
    command = [sys.executable, '-W', 'ignore', *sys.argv, '--probe', name, contestant]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def probe(args: argparse.Namespace, step: Step, training: bool) -> float:
    """Return the peak memory of the first step of a contestant, in MiB."""
    name, contestant = args.probe
    model = prepare(
        args, build_group(name, args.size, [contestant])[contestant], training
    )
    return peak_mib(partial(step, model, images(args, name, training)))


def clock(args: argparse.Namespace, call: Callable[[], None], repeats: int) -> float:
    """Return the seconds of one call."""
    if args.device == 'cuda':
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    if args.device == 'cuda':
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeats


def describe(args: argparse.Namespace) -> str:
    device = f'{platform.machine()} CPU, {torch.get_num_threads()} threads'
    if args.device == 'cuda':
        device = torch.cuda.get_device_name()
    options = [o for o in ('bf16', 'channels_last', 'compile') if getattr(args, o)]
    return (
        f'torch {torch.__version__}, {device}, batch {args.batch}, {args.size} px, '
        f'{args.rounds} rounds, {", ".join(options) or "float32"}\n'
    )
