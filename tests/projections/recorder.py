"""A projection for the tests of what writes projections."""

from __future__ import annotations

import os
from functools import partial

from eventlog import locking
from projections.projection import Stored, Writing


class Recorder:
    """A projection whose file nobody else writes, and that can be told to fail."""

    def __init__(self, where, *, anchor=None, error=None, agrees=True, binding=True):
        self.where = where
        self._directory = os.path.dirname(where)
        self.binding = binding
        self.forget = "move it away"
        self.written = []
        self._anchor = anchor
        self._error = error
        self._agrees = agrees

    def anchor(self):
        return self.stored().anchor

    def may_lag(self, applied, catalog):
        return False

    def stored(self):
        if isinstance(self._anchor, Exception):
            raise self._anchor
        return Stored(self._anchor, lambda _catalog: self._agrees)

    def writing(self, catalog, *, rebuild):
        def content():
            if self._error is not None:
                raise self._error
            self.written.append((catalog.size, rebuild))
            return b"%d\n" % catalog.size

        locked = partial(locking.locked_directory, self._directory, timeout_seconds=5)
        return Writing(self._directory, locked, lambda: bool(self.written), content)
