import hashlib
import subprocess
import sys
from dataclasses import replace
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import evolr
from evolr.config import config_of
from evolr.errors import ConfigError, ProblemError
from evolr.problems import JaxProblem, Mnist1dMlp
from evolr.problems.pools import pools
from evolr.training.optimizers import Optimizer
from evolr.training.trainer import Trainer
from tests.problems.linear_model import DATA, INPUTS, LABELS, accuracy, init, logits, loss, problem, trials


def train(problem, *texts, pool="fitness", epochs=4, device_count=None):
    trainer = Trainer(problem.task(pool), Optimizer(name="sgd"), device_count=device_count)
    return trainer.train(trials(*texts), epochs)


def bits(outcomes):
    found = hashlib.sha256()
    for o in outcomes:
        found.update(repr(o.score).encode())
        for curve in (o.train_loss, o.val_loss, o.val_score, o.learning_rate):
            found.update(curve.tobytes())
    return found.hexdigest()


# --- models -----------------------------------------------------------------------------------------------------------


def test_a_dict_of_arrays_learns():
    outcomes = train(problem(), "0.5", "1e-6", epochs=10)
    assert outcomes[0].score > 0.9 > outcomes[1].score
    assert outcomes[0].val_loss[-1] < outcomes[0].val_loss[0]


@pytest.mark.parametrize("score", [jnp.inf, -jnp.inf, jnp.nan])
def test_a_score_that_is_not_finite_is_that_of_a_training_that_diverged(score):
    outcomes = train(problem(metric=lambda parameters, batch: jnp.asarray(score)), "0.5", epochs=2)
    assert all(np.isnan(outcome.score) for outcome in outcomes)


def test_gradient_descent_is_what_it_is_by_hand():
    """Full batches, so that their order does not matter; against NumPy in float64."""
    inputs, targets = np.arange(6.0), 3 * np.arange(6.0) + 1
    line = JaxProblem(
        init=lambda seed: {"slope": np.zeros(()), "offset": np.array(float(seed))},
        loss=lambda p, batch: ((p["slope"] * batch["x"] + p["offset"] - batch["y"]) ** 2).mean(),
        data={pool: {"x": inputs, "y": targets} for pool in ("train", "monitor")},
        batch_size=6,
    )
    slope, offset = 0.0, 1.0
    expected = []
    for _ in range(5):
        residue = slope * inputs + offset - targets
        expected.append((residue**2).mean())
        slope, offset = slope - 0.02 * 2 * (residue * inputs).mean(), offset - 0.02 * 2 * residue.mean()
    outcome = train(line, "0.02", pool="monitor", epochs=5)[1]
    np.testing.assert_allclose(outcome.train_loss, expected, rtol=1e-5)
    assert outcome.score == pytest.approx(((slope * inputs + offset - targets) ** 2).mean(), rel=1e-5)
    assert (line.metric.name, line.metric.higher_is_better) == ("loss", False)


def equinox_problem():
    def build(seed):
        return eqx.nn.MLP(3, 2, width_size=8, depth=1, key=jax.random.key(seed))

    static = eqx.partition(build(0), eqx.is_inexact_array)[1]

    def model(parameters, inputs):
        return jax.vmap(eqx.combine(parameters, static))(inputs)

    return problem(
        init=lambda seed: eqx.filter(build(seed), eqx.is_inexact_array),
        loss=lambda p, batch: (
            -jnp.take_along_axis(jax.nn.log_softmax(model(p, batch[0])), batch[1][:, None], axis=1).mean()
        ),
        metric=lambda p, examples: (model(p, examples[0]).argmax(axis=1) == examples[1]).mean(),
    )


@pytest.mark.parametrize("make", [problem, equinox_problem])
def test_one_device_and_two_give_the_same_bits(make):
    texts = ("0.1", "0.3*(1-progress)", "0.1*loss")
    one, two = (train(make(), *texts, device_count=count) for count in (1, 2))
    assert bits(one) == bits(two)
    assert one[0].val_loss[-1] < one[0].val_loss[0]


def test_the_pool_that_is_asked_for_judges():
    scores = {pool: train(problem(), "0.05", pool=pool, epochs=1)[0] for pool in ("monitor", "fitness", "test")}
    assert len({outcome.val_loss.tobytes() for outcome in scores.values()}) == 1
    assert scores["monitor"].score == pytest.approx(float(scores["monitor"].val_score[-1]))
    assert len({outcome.score for outcome in scores.values()}) > 1


def test_what_does_not_fill_a_batch_is_left_out_and_the_order_is_that_of_seed_and_epoch():
    task = problem(batch_size=50).task("fitness")
    inputs, labels = task.batches(1, 0)
    assert (task.steps_per_epoch, inputs.shape, labels.shape) == (2, (2, 50, 3), (2, 50))
    rows = {row.tobytes() for row in DATA["train"][0]}
    assert {row.tobytes() for row in inputs.reshape(-1, 3)} < rows
    assert np.array_equal(inputs, task.batches(1, 0)[0])
    assert not np.array_equal(inputs, task.batches(1, 1)[0])
    assert not np.array_equal(inputs, task.batches(2, 0)[0])


def test_a_function_that_raises_while_it_runs_is_a_failed_training_as_of_any_problem():
    def once(seed):
        if seed == 7:
            raise OSError("no weights today")
        return init(seed)

    trainer = Trainer(problem(init=once).task("fitness"), Optimizer())
    failed, fine = trainer.train([*trials("0.1", seeds=(7,)), *trials("0.1", seeds=(0,))], 1)
    assert "init(7) raised OSError: no weights today" in failed.failure
    assert fine.failure is None


def test_64_bits_become_32_without_a_word():
    wide = {name: (x.astype(np.float64), y.astype(np.int64)) for name, (x, y) in DATA.items()}
    assert bits(train(problem(data=wide), "0.1")) == bits(train(problem(), "0.1"))
    assert problem(data=wide).digest == problem().digest


def test_mnist1d_mlp_trains_as_it_did_before_it_was_a_jax_problem():
    """The same arithmetic, written as a Task by hand, as it stood before: one function for loss and score."""
    import optax

    def both(parameters, samples):
        activations = samples.inputs
        for weights, biases in parameters[:-1]:
            activations = jax.nn.relu(activations @ weights + biases)
        logits = activations @ parameters[-1][0] + parameters[-1][1]
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, samples.labels)
        return losses.mean(), (logits.argmax(axis=1) == samples.labels).mean()

    for settings in (Mnist1dMlp(), Mnist1dMlp(pools="original")):
        task = settings.task("fitness")
        old = replace(task, loss=lambda p, b: both(p, b)[0], evaluate=both)
        runs = trials("0.003", "0.01*loss", "0.02*(1-progress)+0.001*val_loss")
        one, other = (Trainer(t, Optimizer()).train(runs, 2) for t in (task, old))
        assert bits(one) == bits(other)


def test_mnist1d_mlp_draws_what_it_always_drew():
    task = Mnist1dMlp().task("monitor")
    found = hashlib.sha256()
    for array in jax.tree.leaves([task.initial(5), task.batches(5, 2)]):
        found.update(array.tobytes())
    assert found.hexdigest()[:16] == "787931af38004d4c"


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": 3}, "loss must be a function, got a int"),
        ({"batch_size": 0}, "batch_size must be from 1 to the number of training examples, 120, got 0"),
        ({"batch_size": 121}, "the number of training examples, 120, got 121"),
        ({"batch_size": 10.0}, "batch_size must be a whole number, got 10.0"),
        ({"name": ""}, "name must be a text of 1 to 100 characters"),
        ({"metric": None}, "where there is no metric, the score is the loss"),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        problem(**changes)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([1, 2], "data must map pools to examples.*got a list"),
        ({"train": DATA["train"]}, "'monitor' is missing, got train"),
        (DATA | {"validation": DATA["test"]}, "unknown pool 'validation'"),
        (DATA | {"selektion": DATA["test"]}, "did you mean 'selection'"),
        (DATA | {"test": ()}, r"data\['test'\] holds no array"),
        (
            DATA | {"test": (INPUTS, LABELS[:7])},
            r"equally many: data\['test'\]\[0\] has 200, data\['test'\]\[1\] has 7",
        ),
        (DATA | {"test": (INPUTS[:0], LABELS[:0])}, "has no examples: its leading axis is empty"),
        (DATA | {"test": (INPUTS, 3.0)}, "must have a leading axis of examples, got the single value 3.0"),
        (
            DATA | {"test": np.array(["cat", "dog"])},
            "must be an array of floats, integers or booleans, got a ndarray of <U3",
        ),
        (DATA | {"test": np.array([object()])}, "got a ndarray of object"),
        (DATA | {"test": np.array([2**40])}, "holds 1099511627776 … 1099511627776; JAX computes with int32 here"),
    ],
)
def test_examples_that_are_none_are_refused(data, message):
    with pytest.raises(ProblemError, match=message):
        problem(data=data)


def test_a_pool_that_is_missing_is_named_where_it_is_asked_for():
    few = problem(data={name: DATA[name] for name in ("train", "monitor")})
    few.task("monitor")
    with pytest.raises(
        ProblemError, match=r"no examples to judge on in the pool 'test', only train, monitor; give data\['"
    ):
        few.task("test")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"w": jax.nn.relu},
            r"init\(0\)\['w'\] is a (custom_jvp|PjitFunction|function).*pytree of float arrays.*eqx.partition",
        ),
        (lambda: eqx.nn.MLP(3, 2, 4, 1, key=jax.random.key(0)), r"\.activation is a .*eqx.is_inexact_array"),
        ({"w": "random"}, r"init\(0\)\['w'\] is a str; parameters must be a pytree"),
        ({"w": 1.0}, "is a float; .*: wrap it by jnp.asarray"),
        (object, r"init\(0\) is a object; parameters must be a pytree"),
        (
            {"w": np.zeros(3, int)},
            r"init\(0\)\['w'\] is an array of int64; parameters must be float32: what is not trained",
        ),
        ({"w": jnp.zeros(3, jnp.bfloat16)}, "is an array of bfloat16; .*: keep the parameters in float32 and cast"),
        ({}, r"init\(0\) gave no array at all"),
        (None, r"init\(0\) gave no array at all"),
    ],
)
def test_parameters_that_are_no_pytree_of_floats_are_refused(parameters, message):
    with pytest.raises(ProblemError, match=message):
        problem(init=lambda seed: parameters() if callable(parameters) else parameters).task("fitness")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda seed: {"w": np.zeros(seed + 1)}, r"init\(0\)\['w'\] is of \(1,\), init\(1\)\['w'\] of \(2,\)"),
        (
            lambda seed: [np.zeros(1)] * 20 + [np.zeros(seed + 1)],
            r"init\(0\)\[20\] is of \(1,\), init\(1\)\[20\] of \(2,\)",
        ),
        (
            lambda seed: {str(seed): np.zeros(1)},
            r"init\(0\) gave \{\['0'\] float32\[1\]\}, init\(1\) gave \{\['1'\] float32\[1\]\}",
        ),
    ],
)
def test_parameters_of_another_shape_for_another_seed_are_refused(make, message):
    with pytest.raises(ProblemError, match=r"one structure and the same shapes for every seed: " + message):
        problem(init=make).task("fitness")


def test_an_init_that_raises_keeps_its_traceback():
    with pytest.raises(ProblemError, match=r"init\(0\) raised ZeroDivisionError: division by zero") as caught:
        problem(init=lambda seed: 1 / seed).task("fitness")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            lambda p, b: logits(p, b[0])[:, 0],
            r"loss\(parameters, batch\) must be a scalar.*its shape is \(10,\): take the mean",
        ),
        (lambda p, b: b[1].sum(), r"loss\(parameters, batch\) must be a float, so that it has a gradient; it is int32"),
        (
            lambda p, b: (loss(p, b), 1.0),
            "must be one scalar array; it is a tuple of 2 arrays: return the scalar alone",
        ),
        (lambda p, b: None, "must be one scalar array; it is a NoneType of 0 arrays"),
        (
            lambda p, b: loss(p, (b[0].T, b[1])),
            r"raised TypeError: .*with parameters \{\['b'\] float32\[2\], \['w'\] float32",
        ),
        (lambda p, b: p["w"].sum() if p["w"].sum() > 0 else 0.0, "raised TracerBoolConversionError"),
        (
            lambda p, b: jax.lax.while_loop(lambda x: x < 1, lambda x: x * 2, p["w"].sum() ** 2),
            r"the gradient of loss\(parameters, batch\) raised ValueError: Reverse-mode",
        ),
    ],
)
def test_a_loss_that_is_no_scalar_float_is_refused(wrong, message):
    with pytest.raises(ProblemError, match=message):
        problem(loss=wrong).task("fitness")


def test_a_loss_that_raises_keeps_its_traceback():
    def mine(parameters, batch):
        return parameters["v"]

    with pytest.raises(
        ProblemError, match=r"loss\(parameters, batch\) raised KeyError: 'v', with parameters"
    ) as caught:
        problem(loss=mine).task("fitness")
    frames, trace = [], caught.value.__cause__.__traceback__
    while trace:
        frames.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert "mine" in frames


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda p, e: e[1] == 1, r"metric\(parameters, data\['monitor'\]\) must be a scalar, .*its shape is \(20,\)"),
        (lambda p, e: p["w"].sum() * 1j, "must be a real number; it is complex64"),
        (lambda p, e: {"accuracy": accuracy(p, e)}, "must be one scalar array; it is a dict of 1 arrays"),
    ],
)
def test_a_metric_that_is_no_real_scalar_is_refused(wrong, message):
    with pytest.raises(ProblemError, match=message):
        problem(metric=wrong).task("fitness")


def test_a_loss_that_takes_no_other_number_of_examples_is_refused():
    fixed = partial(lambda p, b: loss(p, (b[0].reshape(10, 3), b[1])))
    with pytest.raises(ProblemError, match=r"loss\(parameters, data\['monitor'\]\) raised TypeError"):
        problem(loss=fixed).task("monitor")


def test_a_pool_of_other_shapes_than_the_functions_take_is_refused():
    with pytest.raises(ProblemError, match=r"loss\(parameters, data\['test'\]\) raised .*\[0\] float32\[200, 2\]"):
        problem(data=DATA | {"test": (INPUTS[:, :2], LABELS)}).task("test")


# --- what is refused ---------------------------------------------------------------------------------------------------------


def test_numpy_numbers_are_numbers_and_a_list_of_lists_is_told_to_become_an_array():
    assert problem(batch_size=np.int64(10)).steps_per_epoch == 12
    with pytest.raises(ProblemError, match=r"made an array first: np\.asarray"):
        pools([[1, 2], [3, 4]])


def test_the_public_names_are_these():
    assert evolr.JaxProblem is JaxProblem
    assert evolr.pools is pools


def test_a_program_that_started_jax_before_is_told_what_it_costs():
    code = (
        "import jax, evolr; jax.devices(); from evolr.training import devices; "
        "devices.available_cores = lambda: 64; devices.prepare()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "JAX was started before evolr" in done.stderr
    assert "of 64 cores train" in done.stderr


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "half \ud800"}, "name must be a text of 1 to 100 characters that can be printed"),
        ({"name": "x" * 101}, "name must be a text of 1 to 100 characters"),
        ({"name": " "}, "name must be a text of 1 to 100 characters"),
        ({"metric_name": 5}, "metric_name must be a text of 1 to 100 characters that can be printed, got 5"),
        ({"metric_name": "two\nlines"}, "metric_name must be a text"),
        ({"higher_is_better": 1}, "higher_is_better must be True or False, got 1"),
        ({"data": {**DATA, "train": {1: INPUTS, "a": LABELS}}}, "names in each dict be of one type"),
    ],
)
def test_a_setting_of_another_kind_is_refused_in_words(settings, message):
    with pytest.raises((ConfigError, ProblemError), match=message):
        problem(**settings)


def test_parameters_under_names_of_two_types_are_refused_in_words():
    with pytest.raises(ProblemError, match=r"init\(0\) is no pytree: .*names in each dict be of one type"):
        problem(init=lambda seed: {1: np.zeros(2), "a": np.zeros(2)}).task("fitness")


def test_a_metric_of_numpys_truth_values_is_as_one_of_pythons():
    both = [problem(higher_is_better=value) for value in (True, np.True_)]
    assert both[0].metric == both[1].metric
    assert both[0].digest == both[1].digest
    assert config_of(both[1]) == config_of(both[0])


def test_examples_under_a_name_with_half_of_a_character_have_a_digest():
    half = {pool: {"\ud800": INPUTS} for pool in ("train", "monitor")}
    assert len(problem(data=half).digest) == 64
