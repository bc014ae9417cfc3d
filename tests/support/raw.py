"""Operations whose replies are shown as they came."""

from __future__ import annotations

from typing import Any

from redis_state.engine.op import Op, ScriptThenRead
from redis_state.engine.operation import ScriptOp
from redis_state.engine.script import Script


class Raw(ScriptOp[Any]):
    """A call of a script whose reply means itself."""

    __slots__ = ()

    def read(self, reply: Any) -> Any:
        return reply


def raw(op: Op[Any], script: Script | None = None) -> Raw:
    """Return the script's call of an op, or that of another script with the same slots."""
    if isinstance(op, ScriptThenRead):
        op = op.note
    assert isinstance(op, ScriptOp)
    assert op.partition is not None
    return Raw(script or op.script, op.partition, op.keys, op.args, op.meanings, op.given, op.about)
