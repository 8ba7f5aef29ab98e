"""Time prediction of our models against what a user would pick instead.

    python benchmarks/inference.py [--models NAME ...] [--size 768] [--rounds 5]
    python benchmarks/inference.py --batch 8 --bf16 --channels-last    # on a GPU

One step: probabilities at the image's size, in evaluation mode. Same encoder, same
input, random weights; see contestants.py. Needs ``pip install -e '.[bench]'``.
"""

import torch
from side_by_side import parse_args, precision, run

if __name__ == '__main__':
    args = parse_args(__doc__)

    @torch.inference_mode()
    def step(model: torch.nn.Module, x: torch.Tensor) -> None:
        with precision(args):
            model(x).sigmoid()

    run(args, step, training=False)
