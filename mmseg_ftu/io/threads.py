"""Work in threads: ahead of need and in order, or as fast as it goes with a bar.

Threads suffice: OpenCV, zlib, Pillow and the TIFF codecs release Python's lock.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar('Item')
Result = TypeVar('Result')


def ordered_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int = 1,
    ahead: int = 2,
    stop: Callable[[], object] = lambda: None,
) -> Iterator[Result]:
    """Yield ``function(item)`` in the order of the items, computed in threads.

    Args:
        function: What is computed; what it raises is raised when its turn comes.
        items: What it is computed of; taken in the calling thread, as needed.
        workers: How many threads compute.
        ahead: How many results may wait, which bounds the memory.
        stop: Called when the results are no longer wanted, after an error or Ctrl-C: it
            may let the function end early, whose end is waited for.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BaseException:
            for future in waiting:
                future.cancel()
            stop()
            raise


def unordered_map(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    title: str,
    unit: str = 'image',
    weight: Callable[[Item], int] = lambda _: 1,
) -> Iterator[tuple[Item, Result]]:
    """Yield items with ``function(item)`` as they are finished; a bar goes to stderr.

    Args:
        function: What is computed; what it raises is raised here.
        items: What it is computed of.
        workers: How many threads compute; 0 works in the calling one.
        title: What stands before the bar.
        unit: What the bar counts.
        weight: How many of these an item is.
    """
    if not items:
        return
    with tqdm(total=sum(map(weight, items)), desc=title, unit=unit) as bar:
        for item, result in _finished(function, items, workers):
            bar.update(weight(item))
            yield item, result


def _finished(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[tuple[Item, Result]]:
    """Yield items with their results in the order in which they are finished."""
    if workers == 0:
        for item in items:
            yield item, function(item)
        return
    pool = ThreadPoolExecutor(workers)
    try:
        futures = {pool.submit(function, item): item for item in items}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:  # an error or Ctrl-C: finish what is in hand, forget the rest
        pool.shutdown(cancel_futures=True)
