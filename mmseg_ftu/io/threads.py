"""Work ahead in threads, in order, without piling up."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item, Result = TypeVar('Item'), TypeVar('Result')


def ordered_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int = 1,
    ahead: int = 2,
) -> Iterator[Result]:
    """Yield ``function(item)`` in the order of the items, computed in threads.

    Args:
        function: What is computed; what it raises is raised when its turn comes.
        items: Taken in the calling thread, as they are needed.
        workers: Threads.
        ahead: Results that may wait, which bounds the memory.
    """
    waiting: deque = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
