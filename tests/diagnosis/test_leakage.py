"""Models that see what they are to predict, and indices beyond the table that they are of."""

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnotes import diagnosis, probe

pytestmark = pytest.mark.usefixtures("standard_promotion")
VOCABULARY, POSITIONS = 30, 12
TOKENS = jax.random.randint(jax.random.key(0), (16, POSITIONS + 1), 0, VOCABULARY)
NEXT = TOKENS[:, :-1], TOKENS[:, 1:]
SERIES = jax.random.normal(jax.random.key(1), (16, POSITIONS + 1, 2))
NEXT_VALUES = SERIES[:, :-1], SERIES[:, 1:]


class Attention(nn.Module):
    """Attention whose queries see the keys up to so many positions on; None: all keys."""

    ahead: int | None

    @nn.compact
    def __call__(self, tokens):
        x = nn.Embed(VOCABULARY, 16)(tokens)
        mask = None if self.ahead is None else jnp.tril(jnp.ones((POSITIONS,) * 2, bool), self.ahead)
        return nn.Dense(VOCABULARY)(x + nn.MultiHeadDotProductAttention(2)(nn.LayerNorm()(x), mask=mask))


class Convolution(nn.Module):
    """A convolution over positions, and batch normalisation, which mixes all positions of all examples a little."""

    padding: str

    @nn.compact
    def __call__(self, x, train=True):
        h = nn.Conv(16, (3,), padding=self.padding)(x)
        return nn.Dense(2)(nn.relu(nn.BatchNorm(use_running_average=not train)(h)))


class Recurrence(nn.Module):
    """A GRU in one direction or in both."""

    both: bool

    @nn.compact
    def __call__(self, x):
        forwards = nn.RNN(nn.GRUCell(8))
        return nn.Dense(2)(nn.Bidirectional(forwards, nn.RNN(nn.GRUCell(8)))(x) if self.both else forwards(x))


def findings(model, batch, loss="cross_entropy", **options):
    variables = model.init(jax.random.key(2), batch[0])
    return diagnosis.explain(probe.read((model, variables), batch, loss, jacobian=False, **options))


def kinds(found) -> set[str]:
    return {finding.kind for finding in found}


@pytest.mark.parametrize("ahead, sees", [(0, False), (1, True), (None, True), (-1, True)])
def test_a_mask_that_shows_the_next_token_is_found(ahead, sees):
    """At -1 the first query sees no key, and softmax then weighs all alike."""
    assert ("target-leakage" in kinds(findings(Attention(ahead), NEXT))) is sees


@pytest.mark.parametrize(
    "model, sees",
    [(Convolution("CAUSAL"), False), (Convolution("SAME"), True), (Recurrence(False), False), (Recurrence(True), True)],
    ids=["causal", "same", "one direction", "both"],
)
def test_so_are_convolutions_and_recurrences_that_look_ahead(model, sees):
    assert ("target-leakage" in kinds(findings(model, NEXT_VALUES, "squared_error"))) is sees


@pytest.mark.parametrize("batch", [(TOKENS[:, :-1], TOKENS[:, :-1]), (TOKENS[:, 1:], TOKENS[:, :-1])], ids=["same", "past"])
def test_a_model_of_other_targets_may_see_everything(batch):
    assert "target-leakage" not in kinds(findings(Attention(None), batch))


class OverPositions(nn.Module):
    """A softmax over the positions of sequences, before a loss that applies one over the classes."""

    @nn.compact
    def __call__(self, tokens):
        return nn.softmax(Attention(0)(tokens), axis=1)


def test_a_softmax_over_positions_is_named_with_its_axis():
    found = {finding.kind: finding for finding in findings(OverPositions(), NEXT)}
    assert "sum to 1 over axis 1" in found["output-activation"].evidence and "target-leakage" in found


def test_one_example_and_padded_targets_are_read_too():
    padded = NEXT[1].at[:, -1].set(0)
    assert "target-leakage" in kinds(findings(Attention(1), (NEXT[0], padded)))
    assert "target-leakage" in kinds(findings(Attention(1), (NEXT[0][:1], NEXT[1][:1])))


def test_an_input_that_equals_the_target_is_a_hint():
    inputs = SERIES[:, 0]
    model = nn.Sequential([nn.Dense(16), nn.relu, nn.Dense(1)])
    (found,) = findings(model, (inputs, inputs[:, 1:]), "squared_error")
    assert found.kind == "target-leakage" and found.hint and "[0][:, 1]" in found.evidence
    assert not findings(model, (inputs, 2 * inputs[:, 1:]), "squared_error")


class Table(nnx.Module):
    def __init__(self, entries, rngs):
        self.table, self.last = nnx.Embed(entries, 16, rngs=rngs), nnx.Linear(16, VOCABULARY, rngs=rngs)

    def __call__(self, tokens):
        return self.last(self.table(tokens))


class Vectors(eqx.Module):
    table: eqx.nn.Embedding
    last: eqx.nn.Linear

    def __call__(self, tokens):
        return jax.vmap(lambda token: self.last(self.table(token)))(tokens)


def linen(entries):
    model = nn.Sequential([nn.Embed(entries, 16), nn.Dense(VOCABULARY)])
    return model, model.init(jax.random.key(3), NEXT[0])


def function(entries):
    size = {"table": (entries, 16), "last": (16, VOCABULARY)}
    parameters = {name: 0.2 * jax.random.normal(jax.random.key(4), shape) for name, shape in size.items()}
    return (lambda p, tokens: probe.tap("last", jnp.tanh(p["table"][tokens]) @ p["last"])), parameters


FORMS = {
    "linen": linen,
    "nnx": lambda entries: Table(entries, nnx.Rngs(0)),
    "equinox": lambda entries: Vectors(
        eqx.nn.Embedding(entries, 16, key=jax.random.key(5)), eqx.nn.Linear(16, VOCABULARY, key=jax.random.key(6))
    ),
    "function": function,
}


@pytest.mark.parametrize("form", FORMS)
def test_indices_beyond_a_table_are_counted(form):
    entries = VOCABULARY - 4
    report = probe.read(FORMS[form](entries), NEXT, "cross_entropy", jacobian=False)
    (lookup,) = report.lookups
    tokens = np.asarray(NEXT[0])
    assert (lookup.entries, lookup.highest) == (entries, tokens.max())
    assert lookup.outside == pytest.approx(np.mean(tokens >= entries))
    (found,) = diagnosis.explain(report)
    assert found.kind == "indices" and f"{tokens.max() + 1} entries" in found.remedies[0].action


@pytest.mark.parametrize("form", FORMS)
def test_a_table_that_is_long_enough_is_no_finding(form):
    report = probe.read(FORMS[form](VOCABULARY), NEXT, "cross_entropy", jacobian=False)
    assert report.lookups[0].outside == 0 and "indices" not in kinds(diagnosis.explain(report))
