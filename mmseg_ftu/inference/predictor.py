"""Predict an image of any size: load it, show it to the network, blend the tiles.

Images that are seen whole and slides that are seen in tiles both end as a
`ProbabilityMap`, from which files are written.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.device import get_device
from tqdm import tqdm

from mmseg_ftu.engine.config_thresholds import fill_in_thresholds, thresholds_of
from mmseg_ftu.engine.model_folder import images_of_model, own_weights
from mmseg_ftu.engine.override_config import override_config
from mmseg_ftu.engine.read_config import read_config
from mmseg_ftu.inference.check_members import check_members
from mmseg_ftu.inference.checkpoint_recipe import recipe_of
from mmseg_ftu.inference.choices import LEAST_TISSUE, UPSAMPLINGS
from mmseg_ftu.inference.jobs import Job
from mmseg_ftu.inference.loaded_image import LoadedImage, TiledImage, WholeImage
from mmseg_ftu.inference.loader import Loader
from mmseg_ftu.inference.network import Network
from mmseg_ftu.inference.probability_file import ProbabilityFile
from mmseg_ftu.inference.probability_map import ProbabilityMap
from mmseg_ftu.inference.provenance import hash_config
from mmseg_ftu.inference.tiles import Tile, blend, check_tile, count_tiles, tile_rows
from mmseg_ftu.inference.upsample import RowSource
from mmseg_ftu.io.sources import ArraySource
from mmseg_ftu.io.threads import ordered_map
from mmseg_ftu.models.stain_data_preprocessor import StainDataPreProcessor
from mmseg_ftu.recipe import LARGEST_SIZE
from mmseg_ftu.stain import tissue_mask
from mmseg_ftu.stain.rgb import check_rgb
from mmseg_ftu.stain.target import stain_id
from mmseg_ftu.thresholds import check_thresholds, threshold_for

DEFAULT_TILE = 768  # px, the size of the paper's images
AHEAD = 8  # tiles that wait in memory for the network


@dataclass
class Prediction:
    """The answer for one image.

    Attributes:
        loaded: The image.
        map: Probability, with the threshold of its data source and organ.
        tiles: Tiles shown to the network, and all tiles; (1, 1) for a whole image.
    """

    loaded: LoadedImage
    map: ProbabilityMap
    tiles: tuple[int, int] = (1, 1)

    @property
    def threshold(self) -> float:
        """Probability above which a pixel is foreground, 0..1."""
        return self.map.threshold

    @property
    def probability(self) -> np.ndarray:
        """Probability at the original size, (H, W) float32; for images that fit."""
        return np.concatenate(list(self.map.strips()))

    @property
    def mask(self) -> np.ndarray:
        """Mask at the original size, (H, W) uint8 of 0 and 1; for images that fit."""
        return self.map.mask().dense(0, self.map.original_shape[0])


class FTUPredictor:
    """Predict images as a model was trained to see them.

    Example:
        >>> predictor = FTUPredictor('config.py', 'best.pth')  # doctest: +SKIP
        >>> mask = predictor('kidney.tiff', organ='kidney').mask  # doctest: +SKIP

    Args:
        config: Path of the config, or the config; or a model folder, as ``mmseg-ftu
            export model`` writes it, or its ``hf://OWNER/REPO[@REVISION]``.
        checkpoints: Path or URL of the weights, or a model folder; several make an
            ensemble. None takes those of the model folder.
        weights: Weights of the checkpoints, one each; None weighs all alike.
        views: Views of the image, from `mmseg_ftu.inference.network.VIEWS`; None as in
            the config's ``inference``, which holds the paper's: the image and its two
            flips.
        scales: Factors of the working size; None as in the config.
        upsample: Way of up-sampling, ``'bilinear'`` or ``'half_nearest'``; None as in
            the config.
        thresholds: Table of thresholds, as `mmseg_ftu.evaluation.threshold_for` takes
            it; None as in the config's ``test_evaluator``, the paper's if it has none.
        mode: Way of showing an image. ``'whole'``: resize the image to the size of
            training. ``'tiles'``: cut it at the pixel size of training. ``'auto'``:
            tiles for slides, for images longer than 8192 px, and for files that
            resized whole would have another pixel size than in training.
        size: Longer side to resize to, px; None as in training.
        training_pixel_size: Pixel size that tiles are brought to, um/px; None takes
            that of the organ's training images.
        tile: Side of a tile, px; None as the size of training.
        overlap: The least overlap of tiles, px; None is a quarter of a tile.
        min_tissue: Share of a tile, 0..1, below which it is not shown to the network;
            probability is 0 where no other tile covers it. 0 shows all tiles.
        stain_target: Target file, or ``'none'``; None as in training.
        allow_other_stain: Accept a prepared folder whose stains were normalised in
            another way.
        device: Device for the network; None takes an accelerator if there is one.
        amp: Compute in half precision.
        batch_size: Images and views that pass the network together; None is 1 on a
            CPU, else 8.
        compile: Compile the networks, see ``compile_network``.
        temporary: Folder for large images while they are worked on; None is the
            system's.
        progress: Show a bar of the tiles of a large image.
        cfg_options: Settings that override the config's, dotted keys.

    Raises:
        ValueError: If an argument is out of range or a checkpoint does not fit.
        FileNotFoundError: If a file is missing.
        OSError: If ``compile`` does not work here.
    """

    def __init__(
        self,
        config: str | Path | Config,
        checkpoints: str | Path | Sequence[str | Path] | None = None,
        *,
        weights: Sequence[float] | None = None,
        views: Sequence[str] | None = None,
        scales: Sequence[float] | None = None,
        upsample: str | None = None,
        thresholds: Mapping[str, Any] | None = None,
        mode: str = 'auto',
        size: int | None = None,
        training_pixel_size: float | None = None,
        tile: int | None = None,
        overlap: int | None = None,
        min_tissue: float = LEAST_TISSUE,
        stain_target: str | Path | None = None,
        allow_other_stain: bool = False,
        device: str | None = None,
        amp: bool = False,
        batch_size: int | None = None,
        compile: bool = False,
        temporary: Path | None = None,
        progress: bool = False,
        cfg_options: dict[str, Any] | None = None,
    ) -> None:
        checkpoints = own_weights(config) if checkpoints is None else checkpoints
        if isinstance(checkpoints, str | Path):
            checkpoints = [checkpoints]
        check_members(config, checkpoints)
        if isinstance(config, Config):
            cfg = copy.deepcopy(config)
        else:
            cfg = read_config(config)
        self.cfg_options = cfg_options or {}
        fill_in_thresholds(cfg)
        override_config(cfg, self.cfg_options)
        self._config_hash = hash_config(cfg)
        self._images_of_model = images_of_model(config)
        settings = cfg.get('inference', {})
        self.upsample = upsample or settings.get('upsample', UPSAMPLINGS[0])
        self.thresholds = thresholds_of(cfg) if thresholds is None else thresholds
        check_thresholds(self.thresholds)
        _check_choice('upsample', self.upsample, UPSAMPLINGS)
        if size is not None and size > LARGEST_SIZE:
            raise ValueError(f'size={size}: give {LARGEST_SIZE} px at most')
        _check_positive(size=size, training_pixel_size=training_pixel_size, tile=tile)
        device = device or get_device()
        if batch_size is None:
            batch_size = 1 if device.startswith('cpu') else 8
        self.network = Network(
            cfg,
            checkpoints,
            weights,
            views or settings.get('views', ('identity',)),
            scales or settings.get('scales', (1.0,)),
            device,
            amp,
            batch_size,
            compile,
        )
        self.recipe = recipe_of(
            cfg, self.network.metas, size, training_pixel_size, stain_target
        )
        self.tile = tile or self.recipe.size or DEFAULT_TILE
        self.overlap = self.tile // 4 if overlap is None else overlap
        check_tile(self.tile, self.overlap)
        if not 0 <= min_tissue <= 1:
            raise ValueError(f'min_tissue={min_tissue}: give a share, 0..1')
        self.min_tissue = min_tissue
        self.progress = progress
        self._stains_of_preprocessor = [
            stain_id(model.data_preprocessor.normalizer)
            for model in self.network.models
            if isinstance(model.data_preprocessor, StainDataPreProcessor)
        ]
        self.load = Loader(
            self.recipe,
            mode,
            allow_other_stain,
            temporary,
            by_pixel_size=not self._stains_of_preprocessor,  # it is fitted on a whole
        )

    def settings(self) -> dict[str, Any]:
        """Return everything that changes a result, fit for JSON."""
        said = self._images_of_model
        return dict(
            views=list(self.network.views),
            scales=list(self.network.scales),
            amp=self.network.amp,
            # absent in folders of earlier versions
            **({'compile': True} if self.network.compile else {}),
            upsample=self.upsample,
            thresholds=self.thresholds,
            mode=self.load.mode,
            size=self.recipe.size,
            training_pixel_size=self.recipe.pixel_size,
            training_pixel_size_by_organ=self.recipe.pixel_size_by_organ or None,
            stain=self.recipe.stain_name,
            tile=self.tile,
            overlap=self.overlap,
            min_tissue=self.min_tissue,
            config_sha256=self._config_hash,
            # absent in folders of earlier versions, too
            **({'images_of_model': [*said]} if any(said) else {}),
            stains_of_preprocessor=self._stains_of_preprocessor,
        )

    def __call__(
        self,
        image: str | Path | np.ndarray,
        organ: str | None = None,
        data_source: str | None = None,
        pixel_size: float | None = None,
    ) -> Prediction:
        """Predict one image.

        Args:
            image: Path, or RGB uint8 ``(H, W, 3)``.
            organ: Organ, e.g. ``kidney``; chooses the threshold, and the pixel size
                that tiles are brought to. A model folder's own where neither this nor
                ``data_source`` is given.
            data_source: Data source, e.g. ``HPA``; chooses the threshold.
            pixel_size: Pixel size, um/px; None asks the file.

        Raises:
            ValueError: If the image cannot be read or cut.
        """
        if organ is None and data_source is None:
            organ = self._images_of_model.organ
        if isinstance(image, np.ndarray):
            job = Job('array', Path('array'), organ, data_source, pixel_size)
            loaded = self.load(job, ArraySource(check_rgb(image)))
        else:
            path = Path(image)
            loaded = self.load(Job(path.stem, path, organ, data_source, pixel_size))
        return self.predict([loaded])[0]

    def predict(self, batch: Sequence[LoadedImage]) -> list[Prediction]:
        """Show images to the network; whole ones of one size pass it together."""
        whole = [loaded for loaded in batch if isinstance(loaded, WholeImage)]
        if len(whole) == len(batch):
            return self._predict_whole(whole)
        return [
            self._predict_tiled(loaded)
            if isinstance(loaded, TiledImage)
            else self._predict_whole([loaded])[0]
            for loaded in batch
        ]

    def _predict_whole(self, batch: Sequence[WholeImage]) -> list[Prediction]:
        maps = self.network([loaded.image for loaded in batch])
        return [
            Prediction(loaded, self._map(loaded, probability))
            for loaded, probability in zip(batch, maps, strict=True)
        ]

    def _predict_tiled(self, loaded: TiledImage) -> Prediction:
        if self._stains_of_preprocessor:
            raise ValueError(
                f'{loaded.job.path}: StainDataPreProcessor would fit the stains of '
                'each tile by itself, which leaves seams: use SegDataPreProcessor with '
                '--stain-target, or --mode whole'
            )
        working = loaded.working
        store = ProbabilityFile(working.shape, self.load.temporary)
        seen = [0, 0]  # tiles shown to the network, and all
        for y0, lines in blend(working.shape, self._tile_probabilities(loaded, seen)):
            store.write(y0, lines)
        return Prediction(loaded, self._map(loaded, store), (seen[0], seen[1]))

    def _tile_probabilities(
        self, loaded: TiledImage, seen: list[int]
    ) -> Iterator[tuple[list[Tile], list[np.ndarray | None]]]:
        """Yield rows of tiles with their probabilities; counts into ``seen``."""
        cut = loaded.working.shape, self.tile, self.overlap
        rows = list(tile_rows(*cut))
        tiles = (tile for row in rows for tile in row)
        size = self.network.batch_size
        read = partial(self._tile_image, loaded)
        images = tqdm(
            ordered_map(read, tiles, 1, max(AHEAD, 2 * size)),
            total=count_tiles(*cut),
            desc=loaded.job.id,
            unit='tile',
            leave=False,
            disable=not self.progress,
        )
        probabilities = _in_batches(self.network, images, size)
        for row in rows:
            values = list(islice(probabilities, len(row)))
            seen[0] += sum(value is not None for value in values)
            seen[1] += len(row)
            yield row, values

    def _tile_image(self, loaded: TiledImage, tile: Tile) -> np.ndarray | None:
        """Return what the network sees of a tile, None if it is empty."""
        image = loaded.read_tile(tile.top, tile.left, *tile.shape)
        if self.min_tissue and tissue_mask(image).mean() < self.min_tissue:
            return None
        return loaded.paint(image)

    def _map(
        self, loaded: LoadedImage, probability: RowSource | np.ndarray
    ) -> ProbabilityMap:
        job = loaded.job
        source = self._images_of_model.source_of(job.data_source, job.organ)
        return ProbabilityMap(
            probability,
            loaded.shape,
            threshold_for(self.thresholds, source, job.organ),
            loaded.pixel_size,
            self.upsample,
        )


def _in_batches(
    network: Network, images: Iterable[np.ndarray | None], size: int
) -> Iterator[np.ndarray | None]:
    """Yield the probability of each image in their order, None for None.

    Args:
        network: The network.
        images: Images of one size, or None.
        size: How many images pass the network together; None is not counted.
    """
    passed: list[np.ndarray | None] = []
    count = 0
    for image in images:
        passed.append(image)
        count += image is not None
        if count == size:
            yield from _probabilities(network, passed)
            passed, count = [], 0
    yield from _probabilities(network, passed)


def _probabilities(
    network: Network, images: Sequence[np.ndarray | None]
) -> list[np.ndarray | None]:
    shown = [image for image in images if image is not None]
    results = iter(network(shown) if shown else ())
    return [None if image is None else next(results) for image in images]


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ValueError(f'{name}={value!r}: choose from {", ".join(choices)}')


def _check_positive(**values: float | None) -> None:
    for name, value in values.items():
        if value is not None and not 0 < value < float('inf'):
            raise ValueError(f'{name}={value}: give a positive number')
