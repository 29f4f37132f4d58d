"""The learning rate of one step, computed inside the compiled training step.

The programs of a population are data, so one compiled step serves any formulas.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from evolr.expression.primitives import PRIMITIVES
from evolr.expression.program import OPCODES, pack, stack_depth
from evolr.schedule import LOG_LIMIT, Schedule
from evolr.signals.plateau import PlateauRule
from evolr.training.primitives import FUNCTIONS, Scalar

_MAX_ARITY = max(p.arity for p in PRIMITIVES.values())
_ARITIES = np.array([0, 0, *(PRIMITIVES[name].arity for name in OPCODES)], np.int32)
_LEAST_STACK = 32


class PackedSchedules(NamedTuple):
    """Schedules as arrays; n of them, packed to one capacity, or a single one without the leading axis.

    opcodes, signals: int32 (n, capacity); constants: float32 (n, capacity); lengths: int32 (n,).
    is_log: bool (n,); reference_lr, min_lr, max_lr: float32 (n,). plateau: of arrays (n,).
    stack: float32 (n, depth), zeros: the interpreter's working space, whose length is its only information.
    """

    opcodes: np.ndarray
    constants: np.ndarray
    signals: np.ndarray
    lengths: np.ndarray
    is_log: np.ndarray
    reference_lr: np.ndarray
    min_lr: np.ndarray
    max_lr: np.ndarray
    plateau: PlateauRule
    stack: np.ndarray


def pack_schedules(schedules: Sequence[Schedule]) -> PackedSchedules:
    programs = pack([s.expression for s in schedules])
    deepest = max(stack_depth(s.expression) for s in schedules)
    depth = max(_LEAST_STACK, 1 << (deepest - 1).bit_length())
    return PackedSchedules(
        opcodes=programs.opcodes,
        constants=programs.constants,
        signals=programs.signals,
        lengths=programs.lengths,
        is_log=np.array([s.transform == "log" for s in schedules]),
        reference_lr=np.array([s.reference_lr for s in schedules], np.float32),
        min_lr=np.array([s.min_lr for s in schedules], np.float32),
        max_lr=np.array([s.max_lr for s in schedules], np.float32),
        plateau=PlateauRule(*map(_column, zip(*(s.plateau_rule for s in schedules), strict=True))),
        stack=np.zeros((len(schedules), depth + _MAX_ARITY), np.float32),
    )


def _column(values: tuple[float, ...]) -> np.ndarray:
    """A setting of each schedule: truth values as they are, numbers as float32."""
    return np.array(values, bool if isinstance(values[0], bool) else np.float32)


def learning_rate(schedule: PackedSchedules, signals: Scalar) -> Scalar:
    """The learning rate of a single packed schedule; signals: (number of signals,), in the table's order."""
    value = interpret(schedule, signals)
    scaled = jnp.where(schedule.is_log, schedule.reference_lr * jnp.exp(jnp.clip(value, -LOG_LIMIT, LOG_LIMIT)), value)
    clipped = jnp.clip(scaled, schedule.min_lr, schedule.max_lr)
    return jnp.where(jnp.isfinite(value), clipped, schedule.min_lr)


def interpret(program: PackedSchedules, signals: Scalar) -> Scalar:
    """The value of a single packed program.

    A loop over the program's own length with one branch an opcode: about 20 ns a node on a CPU, where the
    interpreter runs unbatched. The bottom of the stack is padding, so that an operator of small arity may
    look at the arguments that it does not have.
    """

    def primitive(name: str) -> Callable[..., Scalar]:
        count = PRIMITIVES[name].arity
        return lambda *operands: FUNCTIONS[name](*operands[2 : 2 + count])

    branches = [  # each takes the constant, the signal's value, and the arguments from the stack
        lambda *operands: operands[0],
        lambda *operands: operands[1],
        *(primitive(name) for name in OPCODES),
    ]

    def node(i: Scalar, carry: tuple[Scalar, Scalar]) -> tuple[Scalar, Scalar]:
        stack, top = carry
        opcode = program.opcodes[i]
        arguments = [stack[top - k] for k in range(1, _MAX_ARITY + 1)]
        value = jax.lax.switch(opcode, branches, program.constants[i], signals[program.signals[i]], *arguments)
        top = top - jnp.asarray(_ARITIES)[opcode]
        return stack.at[top].set(value), top + 1

    carry = (jnp.asarray(program.stack), jnp.int32(_MAX_ARITY))
    stack, _ = jax.lax.fori_loop(0, program.lengths, node, carry)
    return stack[_MAX_ARITY]
