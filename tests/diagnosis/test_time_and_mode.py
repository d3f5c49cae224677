"""Findings over the steps of recurrent networks, on the mode a model is read in, and none on what is so on purpose."""

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from jaxnotes import diagnosis, probe

pytestmark = [pytest.mark.usefixtures("standard_promotion"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def findings(model, batch, loss="cross_entropy", **options):
    return diagnosis.explain(probe.read(model, batch, loss, jacobian=False, **options))


def initialised(module, *inputs, **keywords):
    return module, module.init(jax.random.key(0), *inputs, **keywords)


def orthogonal(factor):
    return lambda key, shape, dtype=jnp.float32: factor * nn.initializers.orthogonal()(key, shape, dtype)


class Recurrent(nn.Module):
    cell: nn.RNNCellBase

    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(nn.RNN(self.cell)(x)[:, -1])


@pytest.fixture
def sequences(key):
    return jax.random.normal(key, (32, 196, 4)), jnp.arange(32) % 3


@pytest.fixture
def batch(key):
    return jax.random.normal(key, (32, 4)), jnp.arange(32) % 3


CELLS = {
    "GRU": (nn.GRUCell(16), "vanishing-gradient", "start the bias of the gate that keeps the old state at 5.3"),
    "LSTM": (nn.OptimizedLSTMCell(16), "vanishing-gradient", "start the forget gate's bias at 5.3"),  # ln 196 = 5.28
    "short memory": (nn.SimpleCell(16, recurrent_kernel_init=orthogonal(0.3)), "vanishing-gradient", "use an LSTM or GRU"),
    "ReLU": (
        nn.SimpleCell(16, activation_fn=nn.relu, recurrent_kernel_init=orthogonal(1.5)),
        "exploding-gradient",
        "clip the gradient by its global norm",
    ),
}


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_has_one_finding_and_advice_that_fits_it(name, sequences):
    cell, kind, advice = CELLS[name]
    (found,) = findings(initialised(Recurrent(cell), sequences[0]), sequences)
    assert found.kind == kind and found.layers == ("cell",) and "over 196 steps" in found.evidence
    assert advice in found.remedies[0].action and "inf" not in found.evidence


@pytest.mark.parametrize(("factor", "kinds"), [(0.3, ["vanishing-gradient"]), (1.0, [])])
def test_a_loop_over_time_that_no_tap_shows_is_found_between_its_neighbours(sequences, key, factor, kinds):
    """60 steps of a linear recurrence by an orthogonal matrix times 0.3 make 0.3^59 of the gradient: 31 decades."""
    recurrent = orthogonal(factor)(key, (16, 16))

    def model(parameters, x):
        x = probe.tap("in", x[:, :60] @ parameters["in"])
        first = jnp.concatenate([x[:, :1], jnp.zeros_like(x[:, 1:])], 1)  # only the first step brings something
        h, _ = jax.lax.scan(lambda h, x: (h @ recurrent + x, None), jnp.zeros_like(x[:, 0]), jnp.swapaxes(first, 0, 1))
        return probe.tap("out", h @ parameters["out"])

    parameters = {"in": jax.random.normal(key, (4, 16)), "out": jax.random.normal(key, (16, 3)) / 4}
    report = probe.read((model, parameters), sequences, "cross_entropy", jacobian=False)
    found = [finding for finding in diagnosis.explain(report) if not finding.hint]
    assert [finding.kind for finding in found] == kinds


def test_an_own_scan_over_time_gets_advice_on_time_and_one_over_layers_on_depth(sequences, batch, key):
    def over_time(parameters, x):
        step = lambda h, x: (probe.tap("state", jnp.tanh(h @ parameters["w"] + x)), None)
        h, _ = jax.lax.scan(step, jnp.zeros(x.shape[::2]), jnp.swapaxes(x, 0, 1))
        return probe.tap("out", h[:, :3])

    (found,) = findings((over_time, {"w": 0.3 * jnp.eye(4)}), sequences)
    assert found.layers == ("state",) and "use an LSTM or GRU" in found.remedies[0].action

    def over_layers(parameters, x):
        layer = lambda h, w: (probe.tap("h", jnp.tanh(h @ w)), None)
        return probe.tap("out", jax.lax.scan(layer, x, parameters["w"])[0][:, :3])

    found = findings((over_layers, {"w": 0.1 * jax.random.normal(key, (20, 4, 4))}), batch)
    assert [f.kind for f in found] == ["vanishing-gradient"] and "residual" in found[0].remedies[0].action


class Normalised(nn.Module):
    momentum: float = 0.99

    @nn.compact
    def __call__(self, x, train=False):
        h = nn.BatchNorm(use_running_average=not train, momentum=self.momentum)(nn.Dense(8)(5 * x + 9))
        return nn.Dense(3)(nn.relu(h))


class NnxNormalised(nnx.Module):
    def __init__(self, rngs):
        self.first, self.norm = nnx.Linear(4, 8, rngs=rngs), nnx.BatchNorm(8, rngs=rngs)
        self.last = nnx.Linear(8, 3, rngs=rngs)

    def __call__(self, x):
        return self.last(nnx.relu(self.norm(self.first(5 * x + 9))))


def test_statistics_that_were_never_updated_are_stale_at_inference(batch):
    for model in (initialised(Normalised(), batch[0]), NnxNormalised(nnx.Rngs(0))):
        assert findings(model, batch, train=True) == ()
        (found,) = findings(model, batch, train=False)
        assert found.kind == "stale-statistics" and not found.hint and "of a new layer" in found.evidence
    (asked,) = findings(initialised(Normalised(), batch[0]), batch)  # the model's own default, before the first step
    assert asked.hint and "read in inference mode" in asked.evidence and "train=True" in asked.remedies[0].action


def test_the_first_steps_of_training_leave_no_stale_statistics(batch):
    module, variables = initialised(Normalised(), batch[0])
    for _ in range(20):
        _, state = module.apply(variables, batch[0], train=True, mutable=["batch_stats"])
        variables = {**variables, **state}
    assert findings((module, variables), batch, train=True) == ()
    assert [f.kind for f in findings((module, variables), batch, train=False)] == ["stale-statistics"]


def test_a_limit_is_set_against_the_whole_batchs_gradient(batch):
    """At a minimum the examples' gradients cancel: those of parts are many times the whole's."""
    x = jnp.concatenate([batch[0], -batch[0]])
    model = (lambda p, x: probe.tap("h", x @ p), 10 * jnp.ones((4, 1)))
    loss = lambda outputs: jnp.mean(outputs)
    shifted = x + 0.005  # the whole's norm is 0.01, √4 · 0.005; those of parts are near 1
    (found,) = findings(model, (shifted, None), loss, clip_norm=1.1)
    assert found.kind == "clipping" and "is 0.01, the limit is 1.1" in found.evidence and "never" in found.evidence
    assert findings(model, (shifted, None), loss, clip_norm=0.5) == ()


def test_dropout_without_a_stream_is_found_in_nnx(batch):
    class Model(nnx.Module):
        def __init__(self, rngs):
            self.first, self.last = nnx.Linear(4, 8, rngs=rngs), nnx.Linear(8, 3, rngs=rngs)
            self.dropout = nnx.Dropout(0.5)

        def __call__(self, x):
            return self.last(self.dropout(nnx.relu(self.first(x))))

    for key in (None, jax.random.key(1)):
        (found,) = findings(Model(nnx.Rngs(0)), batch, key=key)
        assert found.kind == "dropout" and "nnx.Dropout(rate, rngs=rngs)" in found.remedies[0].action


class Sharp(nn.Module):
    """An autoencoder whose output is sharp, as a good one's of black and white pictures."""

    @nn.compact
    def __call__(self, x):
        return nn.sigmoid(300 * nn.Dense(4)(nn.relu(nn.Dense(8)(x))))


class Zeros(nn.Module):
    """Residual branches that end at 0, and a head that starts at 0 or not."""

    head: bool
    body: bool = True

    @nn.compact
    def __call__(self, x):
        zeros = nn.initializers.zeros
        inner = zeros if not self.body else nn.initializers.he_normal()
        x = nn.Dense(8, kernel_init=inner)(x)
        for _ in range(3):
            h = nn.relu(nn.Dense(8, kernel_init=inner)(nn.LayerNorm()(x)))
            x = x + nn.Dense(8, kernel_init=zeros)(h)
        return nn.Dense(3, kernel_init=zeros if self.head else nn.initializers.normal(0.1))(nn.LayerNorm()(x))


class Placed(nn.Module):
    """Embeddings of place, the same for all examples."""

    @nn.compact
    def __call__(self, x):
        tokens = nn.Dense(8)(x[:, :, None])
        place = jnp.broadcast_to(nn.Embed(4, 8)(jnp.arange(4)), tokens.shape)
        return nn.Dense(3)(nn.relu(nn.Dense(8)(nn.LayerNorm()(tokens + place))).mean(1))


def test_a_sharp_output_has_no_finding_and_sharp_hidden_units_have(batch, key):
    black_and_white = (batch[0] > 0).astype(jnp.float32)
    assert findings(initialised(Sharp(), batch[0]), (batch[0], black_and_white), "squared_error") == ()
    linear = lambda factor: eqx.tree_at(lambda m: m.weight, eqx.nn.Linear(4, 4, key=key), factor * jnp.eye(4))
    sharp = lambda *factors: eqx.nn.Sequential(
        [f(x) for x in factors for f in (linear, lambda _: eqx.nn.Lambda(jax.nn.sigmoid))]
    )
    assert findings(sharp(300.0), (batch[0], black_and_white), "squared_error") == ()
    assert "saturated-units" in {f.kind for f in findings(sharp(300.0, 1.0), (batch[0], black_and_white), "squared_error")}


def test_what_is_so_on_purpose_has_no_finding(batch):
    for model in (Zeros(head=False), Zeros(head=True), Placed()):
        assert findings(initialised(model, batch[0]), batch) == ()
    assert "equal-units" in {f.kind for f in findings(initialised(Zeros(head=True, body=False), batch[0]), batch)}


class Drops(nn.Module):
    """Dropout of a width at a rate, before the last layer or behind it."""

    width: int
    rate: float
    behind: bool = False

    @nn.compact
    def __call__(self, x, train=True):
        drop = nn.Dropout(self.rate, deterministic=not train)
        x = nn.relu(nn.Dense(self.width)(x))
        return drop(nn.Dense(3)(x)) if self.behind else nn.Dense(3)(drop(x))


@pytest.mark.parametrize(
    "module, hints",
    [
        (Drops(64, 0.95), [False]),  # 3.2 units are left
        (Drops(128, 0.8), [True]),  # 26 are: a rate to keep, or one that is meant
        (Drops(6, 0.5), []),  # Srivastava's rate, whatever the width
        (Drops(64, 0.2, behind=True), [False]),
        (Drops(64, 0.5), []),
    ],
)
def test_dropout_that_leaves_few_units_or_acts_on_the_outputs_is_found(batch, key, module, hints):
    variables = module.init({"params": key, "dropout": key}, batch[0])
    for train, expected in ((True, hints), (False, [])):
        report = probe.read((module, variables), batch, "cross_entropy", train=train, key=key)
        found = [f for f in diagnosis.explain(report) if f.kind == "dropout"]
        assert [f.hint for f in found] == expected, (train, found)


def test_equinox_dropout_of_everything_is_named_and_not_the_nan_that_it_makes(batch, key):
    model = eqx.nn.Sequential([eqx.nn.Linear(4, 64, key=key), eqx.nn.Dropout(1.0), eqx.nn.Linear(64, 3, key=key)])
    (found,) = findings(model, batch, key=key)
    assert found.kind == "dropout" and not found.hint and "drops 100% of 64 units" in found.evidence


@pytest.mark.parametrize("form", ["nnx", "equinox"])
def test_the_rate_is_known_in_every_framework(batch, key, form):
    if form == "nnx":
        model = nnx.Sequential(nnx.Linear(4, 64, rngs=nnx.Rngs(0)), nnx.Dropout(0.95, rngs=nnx.Rngs(1)))
    else:
        model = eqx.nn.Sequential([eqx.nn.Linear(4, 64, key=key), eqx.nn.Dropout(0.95)])
    rates = [row.dropout_rate for row in probe.read(model, batch, "cross_entropy", key=key).layers if "Dropout" in row.kind]
    assert rates == [0.95]
