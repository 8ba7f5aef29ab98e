"""Where the time of a program goes: seconds by step, over all threads."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any


class Stopwatch:
    """Add up the seconds of steps that call each other, each without the inner ones.

    Args:
        clock: Tells the time, s.

    Attributes:
        seconds: Wall seconds by step, of all threads together.
        calls: How often each step ran.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.calls: defaultdict[str, int] = defaultdict(int)
        self._lock = threading.Lock()
        self._thread = threading.local()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time what runs inside, less the steps inside of it."""
        stack = vars(self._thread).setdefault('stack', [])
        inner = [0.0]
        stack.append(inner)
        start = self._clock()
        try:
            yield
        finally:
            taken = self._clock() - start
            stack.pop()
            if stack:
                stack[-1][0] += taken
            with self._lock:
                self.seconds[name] += taken - inner[0]
                self.calls[name] += 1

    def watch(self, owner: Any, attribute: str, name: str) -> None:
        """Make a function of a module or a class a step, for the rest of the process.

        Generators are not for this: calling one takes no time.
        """
        function = getattr(owner, attribute)

        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.step(name):
                return function(*args, **kwargs)

        setattr(owner, attribute, timed)

    @contextmanager
    def watching(self, owner: Any, attribute: str, name: str) -> Iterator[None]:
        """Make a function a step as long as the ``with`` block lasts; see `watch`."""
        function = getattr(owner, attribute)
        self.watch(owner, attribute, name)
        try:
            yield
        finally:
            setattr(owner, attribute, function)
