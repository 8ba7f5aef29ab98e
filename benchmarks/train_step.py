"""Time forward + backward of our models against what a user would pick instead.

    python benchmarks/train_step.py [--models NAME ...] [--size 768] [--rounds 5]
    python benchmarks/train_step.py --batch 4 --bf16 --channels-last   # on a GPU

One step: logits at the image's size, binary cross entropy, gradients of all parameters
(no optimizer); with ``--encoder`` the encoder's maps and their mean. Same encoder, same
input, random weights; see contestants.py. Needs ``pip install -e '.[bench]'``.
"""

import torch
import torch.nn.functional as F
from side_by_side import parse_args, precision, run

if __name__ == '__main__':
    args = parse_args(__doc__)

    def step(model: torch.nn.Module, x: torch.Tensor) -> None:
        with precision(args):
            logits = model(x)
        if args.encoder:
            loss = sum(m.float().mean() for m in logits if m.requires_grad)
        else:
            target = (x[:, :1] > 0).float()
            loss = F.binary_cross_entropy_with_logits(logits.float(), target)
        loss.backward()
        for parameter in model.parameters():
            parameter.grad = None

    run(args, step, training=True)
