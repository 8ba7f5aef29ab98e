"""Make the rows of an image in a thread, while those above are used."""

import atexit
import threading
from collections.abc import Generator
from contextlib import closing


class BackgroundRows:
    """A thread that makes rows of an image, from the top.

    Args:
        steps: Makes rows, and yields how many are there. It is closed in the thread,
            at its end, when it raises, or after `stop`.
    """

    def __init__(self, steps: Generator[int, None, None]) -> None:
        self._steps = steps
        self._rows = 0
        self._is_over = False
        self._is_to_stop = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name='rows', daemon=True)
        self._thread.start()
        atexit.register(self.stop)  # a reader of slides must not be cut off
        if self._is_over:  # already, and `_run` may have been first
            atexit.unregister(self.stop)

    def wait(self, rows: int) -> None:
        """Wait until so many rows are there.

        Raises:
            BaseException: What making rows raised, also where these are there: the rest
                will never be.
            RuntimeError: If they will never be there.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._rows >= rows or self._is_over)
            if self._rows >= rows and not self._error:
                return
        raise self._error or RuntimeError(f'{self._rows} rows were made, not {rows}')

    def stop(self) -> None:
        """Let the thread end after the step that it is at, and wait for that."""
        self._is_to_stop = True
        self._thread.join()

    def _run(self) -> None:
        try:
            with closing(self._steps):
                for rows in self._steps:
                    with self._changed:
                        self._rows = rows
                        self._changed.notify_all()
                    if self._is_to_stop:
                        return
        except BaseException as error:  # raised where the rows are waited for
            self._error = error
        finally:
            with self._changed:
                self._is_over = True
                self._changed.notify_all()
            del self._steps  # with what it fills, which may be forgotten from here on
            atexit.unregister(self.stop)
