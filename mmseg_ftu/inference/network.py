"""Probabilities from one or several checkpoints, averaged over views of the image."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmseg.models.segmentors import BaseSegmentor
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_ftu.engine.check_weights_hook import (
    finite_fault,
    match_weights,
    plain,
    without_auxiliary,
)
from mmseg_ftu.engine.compile_network import compile_network
from mmseg_ftu.engine.model_folder import find_weights
from mmseg_ftu.engine.safe_checkpoints import (
    dataset_meta_of,
    load_local,
    weights_of,
)
from mmseg_ftu.inference.choices import VIEWS
from mmseg_ftu.io.resizing import resize_image
from mmseg_ftu.models import BinaryEncoderDecoder
from mmseg_ftu.models.mirrored_padding import MirroredPadding, take_over_padding

LARGEST_SCALE = 8  # times the size of training


def view(images: Tensor, name: str) -> Tensor:
    """Return a view of images ``(..., H, W)``; one of `VIEWS`."""
    swap, dims = VIEWS[name]
    return (images.transpose(-2, -1) if swap else images).flip(dims)


def undo_view(images: Tensor, name: str) -> Tensor:
    """Bring what the network says of a view back to the image."""
    swap, dims = VIEWS[name]
    images = images.flip(dims)
    return images.transpose(-2, -1) if swap else images


class Network:
    """An ensemble: the weighted mean of probabilities over checkpoints and views.

    Args:
        cfg: Config of the model.
        checkpoints: Paths, model folders or URLs of weights for it.
        weights: Weights of the checkpoints, one each, positive; None weighs all alike.
        views: Names in `VIEWS`.
        scales: Factors of the working size; each is seen in all views.
        device: Device for the network.
        amp: Compute in half precision (bfloat16 on a CPU).
        batch_size: Images and views that pass the network together.
        compile: Compile the networks, see ``compile_network``.

    Raises:
        ValueError: If an argument is out of range or a checkpoint does not fit.
        FileNotFoundError: If a checkpoint is missing.
        OSError: If ``compile`` does not work here.
    """

    def __init__(
        self,
        cfg: Config,
        checkpoints: Sequence[str | Path],
        weights: Sequence[float] | None = None,
        views: Sequence[str] = ('identity',),
        scales: Sequence[float] = (1.0,),
        device: str = 'cpu',
        amp: bool = False,
        batch_size: int = 1,
        compile: bool = False,
    ) -> None:
        self.views, self.scales = tuple(views), tuple(scales)
        self.weights = _check_weights(weights, checkpoints)
        _check_views(self.views, self.scales, batch_size)
        self.device, self.amp, self.batch_size = _device(device), amp, batch_size
        self.compile = compile
        self.names = [str(path) for path in checkpoints]
        self.models: list[BaseSegmentor] = []
        self.metas: list[dict[str, Any]] = []
        self.paddings: list[MirroredPadding] = []
        for path in checkpoints:
            model, meta = load_model(cfg, path)
            # on a CPU 1.4 times as fast for the slim CoaT, 1.0 to 1.1 for full models
            model = model.to(self.device, memory_format=torch.channels_last)
            self.models.append(model.eval())
            if compile:
                compile_network(model, self.device)
            self.metas.append(meta)
            self.paddings.append(_padding_outside(model))

    @torch.inference_mode()
    def __call__(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Predict images of one size.

        Args:
            images: RGB uint8 ``(h, w, 3)`` each.

        Returns:
            Probability of the foreground, float32 ``(h, w)`` each.

        Raises:
            ValueError: If a network answers with NaN or infinity.
        """
        total = torch.zeros(len(images), *images[0].shape[:2])
        share = 1 / (len(self.scales) * len(self.views))
        for scale in self.scales:
            height, width = (max(1, round(n * scale)) for n in total.shape[1:])
            shape = height, width
            batch = _to_tensor([resize_image(image, shape) for image in images])
            for member, weight in enumerate(self.weights):
                probability = self._all_views(member, batch, scale)
                if shape != total.shape[1:]:
                    probability = F.interpolate(
                        probability[:, None], total.shape[1:], mode='bilinear'
                    )[:, 0]
                total += weight * share * probability.cpu()
        return list(total.numpy())

    def _all_views(self, member: int, batch: Tensor, scale: float) -> Tensor:
        """Return the sum over the views, ``(N, h, w)`` on the device."""
        model, padding = self.models[member], self.paddings[member]
        total = torch.zeros(len(batch), *batch.shape[-2:], device=self.device)
        jobs = [(name, i) for name in self.views for i in range(len(batch))]
        if batch.shape[-2] != batch.shape[-1]:  # two shapes cannot share a batch
            groups = [[job for job in jobs if VIEWS[job[0]][0] == x] for x in (0, 1)]
        else:
            groups = [jobs]
        for group in groups:
            for start in range(0, len(group), self.batch_size):
                chunk = group[start : start + self.batch_size]
                inputs = torch.stack([view(batch[i], name) for name, i in chunk])
                seen = self._forward(model, padding, inputs)
                for (name, i), probability in zip(chunk, seen, strict=True):
                    self._refuse_non_finite(probability, member, name, scale)
                    total[i] += undo_view(probability, name)
        return total

    def _refuse_non_finite(
        self, probability: Tensor, member: int, view: str, scale: float
    ) -> None:
        if not torch.isfinite(probability).all():
            hint = ' (half precision may be too coarse: try without --amp)'
            raise ValueError(
                f'{self.names[member]}: the network answers NaN or infinity for the '
                f'view {view!r} at scale {scale}; there is no mask in that'
                + (hint if self.amp else '')
            )

    def _forward(
        self, model: BaseSegmentor, padding: MirroredPadding, inputs: Tensor
    ) -> Tensor:
        """Return probabilities ``(N, h, w)`` of ``(N, 3, h, w)`` uint8, BGR."""

        def network(images: Tensor) -> Tensor:
            seen = tuple(images.shape[-2:])
            metas = [dict(img_shape=seen, pad_shape=seen, ori_shape=seen)] * len(images)
            logits: Tensor = model.inference(images, metas)
            return logits

        with torch.autocast(
            self.device.type,
            torch.bfloat16 if self.device.type == 'cpu' else torch.float16,
            enabled=self.amp,
        ):
            # StainDataPreProcessor writes into samples
            samples = [SegDataSample() for _ in inputs]
            data = dict(inputs=list(inputs), data_samples=samples)
            data = model.data_preprocessor(data, False)
            normalised = data['inputs'].contiguous(memory_format=torch.channels_last)
            logits = padding(network, normalised).float()
        finite = logits.isfinite().all(1)
        if logits.shape[1] == 1:
            probability = logits[:, 0].sigmoid()
        else:
            probability = logits.softmax(1)[:, 1]
        return probability.where(finite, torch.nan)  # sigmoid would make inf a 1


def _padding_outside(model: BaseSegmentor) -> MirroredPadding:
    """Return the padding that a model does not do itself."""
    if isinstance(model, BinaryEncoderDecoder):
        return MirroredPadding(divisor=1)
    return take_over_padding(model)


def load_model(cfg: Config, path: str | Path) -> tuple[BaseSegmentor, dict[str, Any]]:
    """Build a model and load its weights, without running code from the file.

    Returns:
        The model, and the checkpoint's ``dataset_meta``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, unsafe, or of another model.
    """
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    checkpoint = load_local(find_weights(path), 'cpu')
    weights = without_auxiliary(plain(weights_of(checkpoint, path)))
    # tools/test.py --tta wraps the model in the config that it leaves in work_dir
    model_cfg = cfg.model.get('module', cfg.model)
    model = revert_sync_batchnorm(build_model(model_cfg))
    faults, _ = match_weights(weights, without_auxiliary(model.state_dict()))
    if faults:
        raise ValueError(
            f"{path}: not the weights of this config's model: {'; '.join(faults)}. "
            'Give the config that it was trained with'
        )
    if fault := finite_fault(weights, model):
        raise ValueError(f'{path}: of its weights {fault}')
    model.load_state_dict(weights, strict=False)
    return model, dataset_meta_of(checkpoint)


def build_model(cfg: Config) -> BaseSegmentor:
    """Build the model of a config.

    Raises:
        ValueError: If one of its settings cannot be used.
    """
    try:
        with warnings.catch_warnings():  # about the loss, which is not computed here
            warnings.filterwarnings('ignore', 'Default ``avg_non_ignore``')
            return MODELS.build(cfg)
    except Exception as error:  # of any layer, by a setting of any kind
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"the config's model can not be built ({type(error).__name__}: {reason})"
        ) from error


def _to_tensor(images: Sequence[np.ndarray]) -> Tensor:
    """Return ``(N, 3, h, w)`` uint8, BGR as mmseg's preprocessors expect."""
    return torch.stack(
        [
            torch.from_numpy(cv2.cvtColor(image, cv2.COLOR_RGB2BGR)).permute(2, 0, 1)
            for image in images
        ]
    )


def _check_weights(
    weights: Sequence[float] | None, checkpoints: Sequence[str | Path]
) -> list[float]:
    if not checkpoints:
        raise ValueError('no checkpoint: give at least one')
    weights = [1.0] * len(checkpoints) if weights is None else list(weights)
    usable = all(0 < weight < float('inf') for weight in weights)
    if len(weights) != len(checkpoints) or not usable:
        raise ValueError(
            f'weights {weights} of {len(checkpoints)} checkpoints: give one positive '
            'number for each'
        )
    return [weight / sum(weights) for weight in weights]


def _device(name: str) -> torch.device:
    try:
        return torch.zeros(1, device=name).device
    except (RuntimeError, AssertionError) as error:  # the latter without CUDA
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f'device={name!r}: {reason}') from error


def _check_views(
    views: Sequence[str], scales: Sequence[float], batch_size: int
) -> None:
    unknown = [name for name in views if name not in VIEWS]
    if unknown or not views:
        raise ValueError(f'views {list(views)}: choose from {", ".join(VIEWS)}')
    if len(set(views)) < len(views):
        raise ValueError(f'views {list(views)}: one occurs twice')
    if not scales or not all(0 < scale <= LARGEST_SCALE for scale in scales):
        raise ValueError(
            f'scales {list(scales)}: give positive factors up to {LARGEST_SCALE}'
        )
    if batch_size < 1:
        raise ValueError(f'batch_size={batch_size}: give at least 1')
