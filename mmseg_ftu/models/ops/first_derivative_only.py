"""Operations with a gradient of their own, which has no gradient itself."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch


def first_derivative_only(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Make the ``backward`` of an operation refuse ``create_graph=True``.

    torch's ``once_differentiable`` raises only where the incoming gradient is itself a
    function of something. Where it is constant, as below a sum, second derivatives
    would be left out without a word.

    Args:
        backward: The static method of a ``torch.autograd.Function``.
    """

    @wraps(backward)
    def refuse_second(ctx: Any, *grads: Any) -> Any:
        if torch.is_grad_enabled():
            raise NotImplementedError(
                'an operation of mmseg_ftu.models.ops has no second derivative on a '
                'CPU (create_graph=True): compute on a GPU'
            )
        return backward(ctx, *grads)

    return refuse_second
