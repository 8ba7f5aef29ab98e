"""Time and weigh MiT's attention, stage by stage, against mmseg's.

    python benchmarks/attention.py [--size 768] [--rounds 7]

The attention block of MiT-B2 alone, forward + backward, equal weights, batch 1; time by
turns in one process, peak memory in a fresh process for each.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from mmseg.models.backbones.mit import EfficientMultiheadAttention
from peak_memory import peak_mib as measure
from torch import Tensor, nn

from mmseg_ftu.models.backbones.mit import ARCHS
from mmseg_ftu.models.backbones.mix_transformer import REDUCTIONS, Attention

B2 = ARCHS['b2']


def build(stage: int) -> dict[str, nn.Module]:
    """Return ours and mmseg's block with the same weights."""
    dim, heads = B2.embed_dims[stage], B2.num_heads[stage]
    reduction = REDUCTIONS[stage]
    ours = Attention(dim, heads, reduction, linear=False, eps=1e-6)
    mmseg = EfficientMultiheadAttention(
        dim,
        heads,
        qkv_bias=True,
        sr_ratio=reduction,
        norm_cfg=dict(type='LN', eps=1e-6),
    )
    weights = dict(ours.state_dict())
    state = {'attn.out_proj.weight': weights.pop('proj.weight')}
    state['attn.out_proj.bias'] = weights.pop('proj.bias')
    for kind in ('weight', 'bias'):
        parts = [weights.pop(f'{name}.{kind}') for name in ('q', 'kv')]
        state[f'attn.in_proj_{kind}'] = torch.cat(parts)
    mmseg.load_state_dict(state | weights)
    return dict(ours=ours, mmseg=mmseg)


def step(block: nn.Module, x: Tensor) -> Tensor:
    """Run forward and backward; return the block's output without the residual."""
    if isinstance(block, Attention):
        out = block(x)
    else:
        out = block(x.flatten(1, 2), x.shape[1:3], identity=0).view_as(x)
    out.backward(torch.ones_like(out))
    return out.detach()


def tokens(stage: int, size: int) -> Tensor:
    side = size // (4 * 2**stage)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, side, side, B2.embed_dims[stage], generator=generator)
    return x.requires_grad_()


def clock(call: Callable[[], Tensor]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def peak_mib(stage: int, size: int, name: str) -> float:
    """Return the memory that a step takes beyond what was there, in MiB."""
    command = [sys.executable, '-W', 'ignore', __file__, '--size', str(size)]
    command += ['--probe', str(stage), name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def probe(stage: int, size: int, name: str) -> None:
    """Print the growth of this process's peak resident set, in MiB (Linux)."""
    block, x = build(stage)[name], tokens(stage, size)
    small = torch.randn(1, 32, 32, B2.embed_dims[stage], requires_grad=True)
    step(block, small)  # libraries load their parts
    print(measure(partial(step, block, x)))


def main(size: int, rounds: int) -> None:
    """Print a row for each stage."""
    print(f'torch {torch.__version__}, {torch.get_num_threads()} threads, {size} px\n')
    print('| stage | ours, ms | mmseg, ms | ratio | ours, MiB | mmseg, MiB | ratio |')
    print('|---|---|---|---|---|---|---|')
    for stage in range(4):
        blocks, x = build(stage), tokens(stage, size)
        a, b = (step(block, x) for block in blocks.values())
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
        times = {name: [] for name in blocks}
        for _ in range(rounds):
            for name, block in blocks.items():
                times[name].append(1e3 * clock(partial(step, block, x)))
        ratio = median(
            m / o for o, m in zip(times['ours'], times['mmseg'], strict=True)
        )
        ours, mmseg = (median(values) for values in times.values())
        memory = [peak_mib(stage, size, name) for name in blocks]
        print(
            f'| {stage + 1} | {ours:.0f} | {mmseg:.0f} | {ratio:.2f} '
            f'| {memory[0]:.0f} | {memory[1]:.0f} | {memory[1] / memory[0]:.2f} |',
            flush=True,
        )


if __name__ == '__main__':
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--size', type=int, default=768, help='image side, px')
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--probe', nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.probe:
        probe(int(args.probe[0]), args.size, args.probe[1])
    else:
        main(args.size, args.rounds)
