"""Values that are made when they are first wanted, and once, by whichever thread."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar('Value')


class Once(Generic[Value]):
    """A value that is made on demand; if that fails, the next call tries again.

    Args:
        make: Function that makes the value.
    """

    def __init__(self, make: Callable[[], Value]) -> None:
        self._make, self._made = make, list[Value]()
        self._lock = threading.Lock()

    def get(self) -> Value:
        """Return the value; other threads wait until it is made."""
        with self._lock:
            if not self._made:
                self._made.append(self._make())
            return self._made[0]

    @property
    def made(self) -> Value | None:
        """The value if it has been made."""
        return self._made[0] if self._made else None
