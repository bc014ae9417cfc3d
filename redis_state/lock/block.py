"""What leaves a ``with`` block: an object made for each block, which keeps what the block holds. Sends nothing.

A ``with`` statement (an exit stack, too) looks up ``__exit__`` before it calls ``__enter__``, and keeps what it found
until the block is over. So a hold is kept by its block, and by nothing else: it is released by the same block in
whichever thread or task that ends, and when a signal handler's exception skips its end, it is dropped with the block.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Sequence
from threading import get_ident
from types import CodeType
from typing import Any

_looked_up: dict[int, weakref.ref[Block]] = {}  # by thread: the last one, until it is entered


class Block:
    """A ``with`` block, and what it holds: called when it is left. Made for each one, so it has no ``__init__``."""

    lock: Any  # None: looked up in the class, as an exit stack does
    held: Any = None
    code: CodeType | None = None  # what looked it up in the class

    def __call__(self, *args: Any) -> Any:
        (self.held or self.by_hand(args)).__exit__(*args[-3:])

    __code__ = __call__.__code__  # as the method that it stands for has it: profilers and tracers ask

    def by_hand(self, args: Sequence[Any]) -> Any:
        """Return what was entered by hand, without a block: by this thread, if it entered any, and last."""
        lock = self.lock or args[0]
        entered, here = lock._entered, get_ident()
        if not entered:
            raise RuntimeError(f"{lock!r} was not entered")
        mine = [place for place, held in enumerate(entered) if held.thread == here]
        return entered.pop(mine[-1] if mine else -1)


class AsyncBlock(Block):
    """The same, of an ``async with`` block."""

    async def __call__(self, *args: Any) -> None:
        await (self.held or self.by_hand(args)).__aexit__(*args[-3:])

    __code__ = __call__.__code__


def entered(lock: Any, held: Any, block: Block | None) -> Any:
    """Let its block keep what is held; where there is none, because ``__enter__`` was called by hand, its lock does."""
    if block is None:
        lock._entered.append(held)
    else:
        block.held = held
    return held


def entering(lock: Any) -> Block | None:
    """Return the block that is being entered; None when ``__enter__`` was called by hand."""
    found = _looked_up.pop(get_ident(), None)
    block = None if found is None else found()
    if block is None or block.lock is lock:
        return block
    return block if block.lock is None and block.code is sys._getframe(2).f_code else None


class Exit:
    """The attribute ``__exit__`` or ``__aexit__`` of a lock: a new block each time that it is looked up."""

    def __init__(self, block: type[Block]) -> None:
        self._block = block

    def __get__(self, lock: Any, _: type) -> Block:
        block = self._block()
        block.lock = lock
        if lock is None:
            block.code = sys._getframe(1).f_code
        _looked_up[get_ident()] = weakref.ref(block)
        return block
