import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings

from evolr.expression import PRIMITIVES, SIGNALS, Expression, parse
from evolr.schedule import Schedule
from evolr.training.interpreter import learning_rate, pack_schedules
from evolr.training.primitives import FUNCTIONS
from tests.contracts.primitives import check_back_end
from tests.expression.strategies import expressions

compiled = jax.jit(learning_rate)


def run(schedule, **signals):
    single = jax.tree.map(lambda a: a[0], pack_schedules([schedule]))
    return float(compiled(single, jnp.array([signals.get(name, 0.0) for name in SIGNALS], jnp.float32)))


def test_the_jax_back_end_has_the_exact_meanings():
    """Through the interpreter itself, arguments as signals; non-finite values are seen before the bounds."""
    assert set(FUNCTIONS) == set(PRIMITIVES)
    from evolr.training.interpreter import interpret

    interpreted = jax.jit(interpret)
    names = list(SIGNALS)

    def evaluate(name, arguments):
        tree = Expression((name, *names[: len(arguments)]))
        single = jax.tree.map(lambda a: a[0], pack_schedules([Schedule(expression=tree)]))
        signals = [*arguments, *[0.0] * (len(names) - len(arguments))]
        return float(interpreted(single, jnp.array(signals, jnp.float32)))

    check_back_end(evaluate, relative=2e-6)


@given(expressions)
@settings(max_examples=300, deadline=None)
def test_every_formula_agrees_with_the_reference_or_is_ill_conditioned(expression):
    rng = np.random.default_rng(0)
    trace = {name: rng.uniform(0.25, 2.0) for name in SIGNALS}
    trace = {name: float(np.float32(value)) for name, value in trace.items()}
    schedule = Schedule(expression=expression, min_lr=0.0, max_lr=10.0)
    expected = float(schedule(**trace))
    # Where the rounding of one input to float32 moves the reference itself, no agreement can be asked for.
    nudged = [float(schedule(**{**trace, name: trace[name] * (1 + 1e-6)})) for name in SIGNALS]
    constants = Expression(tuple(t if isinstance(t, str) else t * (1 - 1e-6) for t in expression.tokens))
    nudged.append(float(Schedule(expression=constants, min_lr=0.0, max_lr=10.0)(**trace)))
    # Beyond 1e-30 a constant is on its way out of float32.
    is_small = all(abs(t) < 1e6 and (t == 0 or abs(t) > 1e-30) for t in expression.tokens if not isinstance(t, str))
    values = [float(expression.subtree(i)(trace)) for i in range(expression.size)]
    conditions = [values[i + 1] for i, token in enumerate(expression.tokens) if token == "where"]
    is_small = is_small and not any(0 < abs(c) < 1e-5 for c in conditions)  # either branch, by a rounding
    stepped = [values[i + 1] for i, token in enumerate(expression.tokens) if token in ("floor", "floor_v1")]
    is_small = is_small and not any(0 < abs(v - round(v)) < 1e-5 * max(1.0, abs(v)) for v in stepped if abs(v) < 1e6)
    if is_small and all(abs(v) < 1e6 for v in values) and max(abs(n - expected) for n in nudged) < 1e-4:
        np.testing.assert_allclose(run(schedule, **trace), expected, rtol=1e-3, atol=1e-3)


def test_a_value_that_float32_rounds_to_a_whole_number_is_no_disagreement_of_the_back_ends():
    """0.999999999 is 1 there: floor jumps between them, and nothing short of float64 would not."""
    jump = Schedule(expression=Expression(("floor_v1", "pow_v1", "alignment", 1.9e-9)), min_lr=0.0, max_lr=10.0)
    assert float(jump(alignment=0.5)) == 0.0
    assert run(jump, alignment=0.5) == 1.0


def test_the_transforms_and_bounds():
    falling = parse("-epoch")
    log = Schedule(expression=falling, transform="log", reference_lr=0.5, min_lr=1e-3)
    for epoch in (0.0, 1.0, 3.0, 50.0, 1e30, float("nan"), float("inf")):
        np.testing.assert_allclose(run(log, epoch=epoch), float(log(epoch=epoch)), rtol=1e-6)
    linear = Schedule(expression=parse("epoch*0.1"), min_lr=0.05, max_lr=0.25)
    for epoch in (0.0, 1.0, 2.0, 3.0, float("-inf")):
        np.testing.assert_allclose(run(linear, epoch=epoch), float(linear(epoch=epoch)), rtol=1e-6)


def test_a_long_formula_is_interpreted_to_its_end():
    text = "+".join(["0.001*epoch"] * 200)
    deep = "1 + (" * 150 + "epoch" + ")" * 150
    np.testing.assert_allclose(run(Schedule(expression=parse(text), max_lr=1e9), epoch=3), 0.6, rtol=1e-5)
    np.testing.assert_allclose(run(Schedule(expression=parse(deep), max_lr=1e9), epoch=3), 153.0, rtol=1e-5)
