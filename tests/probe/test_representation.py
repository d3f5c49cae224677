"""What readings say of the representation: effective rank, largest channel, sizes at residual sums."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnotes import diagnosis, probe

pytestmark = pytest.mark.usefixtures("standard_promotion")


def reading_of(value, examples=None):
    """The row of a layer that returns this value."""
    inputs = jnp.ones((examples or value.shape[0], 1))
    model = lambda x: probe.tap("here", value + 0 * x.reshape(-1, *(1,) * (value.ndim - 1)))
    return probe.read(model, inputs, lambda out: jnp.mean(out**2), jacobian=False).layers[0]


@pytest.mark.parametrize("directions", [1, 3, 16])
def test_effective_rank_counts_equal_directions(directions):
    """Of ± the unit vectors all singular values are equal, and exp of their entropy is their number."""
    axes = jnp.eye(16)[:directions]
    assert reading_of(5 + jnp.concatenate([axes, -axes])).effective_rank == pytest.approx(directions, rel=1e-3)


def test_effective_rank_of_random_vectors_is_that_of_their_singular_values(key):
    value = jax.random.normal(key, (40, 24)) * jnp.logspace(0, -2, 24)
    singular = np.linalg.svd(np.asarray(value - value.mean(0), np.float64), compute_uv=False)
    share = singular / singular.sum()
    assert reading_of(value).effective_rank == pytest.approx(np.exp(-(share * np.log(share)).sum()), rel=1e-3)


def test_positions_of_a_sequence_are_vectors_of_their_own():
    """Examples that are equal, of positions that are not: dead to the rank over examples, and of full rank over positions."""
    axes = jnp.concatenate([jnp.eye(8), -jnp.eye(8)])
    assert reading_of(jnp.broadcast_to(axes, (4, 16, 8))).effective_rank == pytest.approx(8, rel=1e-3)


@pytest.mark.parametrize("value", [jnp.zeros((6, 4)), jnp.full((6, 4), 3.0), jnp.full((1, 4), 3.0)])
def test_effective_rank_of_equal_vectors_is_0(value):
    assert reading_of(value).effective_rank == 0


def test_largest_channel_is_a_ratio_of_sizes():
    assert reading_of(jnp.ones((6, 5)) * jnp.asarray([1.0, 2.0, -60.0, 2.0, 0.0])).largest_channel == pytest.approx(30)
    assert np.isnan(reading_of(jnp.zeros((6, 5))).largest_channel)


class Residual(nn.Module):
    """A stream that each block adds its scaled self to, in a loop or a scan."""

    scanned: bool
    blocks: int = 6

    @nn.compact
    def __call__(self, x):
        block = lambda x, w: x + w * jnp.matmul(x, jnp.eye(4))
        weights = self.param("weights", nn.initializers.ones, (self.blocks,)) * 0.5
        if self.scanned:
            x = jax.lax.scan(lambda x, w: (block(x, w), None), x, weights)[0]
        else:
            for w in weights:
                x = block(x, w)
        return nn.Dense(3, name="last")(x)


@pytest.mark.parametrize("scanned", [False, True])
def test_sizes_at_residual_sums(batch, initialised, scanned):
    """Each block makes 1.5 of its input: the streams are powers of it, and each branch half of the stream."""
    report = probe.read(initialised(Residual(scanned), batch[0]), batch, "cross_entropy")
    start = float(jnp.sqrt(jnp.mean(batch[0] ** 2)))
    sums = report.residuals.sums
    assert [one.stream_rms for one in sums] == pytest.approx([start * 1.5**block for block in range(6)], rel=1e-5)
    assert [one.branch_rms for one in sums] == pytest.approx([start * 0.5 * 1.5**block for block in range(6)], rel=1e-5)


class Plain(nn.Module):
    """Blocks x + f(x) / scale whose branches keep sizes, De and Smith 2020."""

    scale: float

    @nn.compact
    def __call__(self, x):
        x = nn.Dense(64)(x)
        for _ in range(16):
            x = x + nn.Dense(64, kernel_init=nn.initializers.he_normal())(nn.relu(x)) / self.scale
        return nn.Dense(3)(x)


def test_a_stream_whose_branches_keep_sizes_grows_as_a_power_of_2(key, initialised):
    """Variance doubles per block, so that the last sum's stream is 2^(15/2) of the first's; divided by √16 it is below √e."""
    inputs = jax.random.normal(key, (64, 32))
    read = lambda scale: probe.read(initialised(Plain(scale), inputs), (inputs, jnp.arange(64) % 3), "cross_entropy")
    full, scaled = read(1.0), read(4.0)
    growth = lambda report: report.residuals.sums[-1].stream_rms / report.residuals.sums[0].stream_rms
    assert growth(full) == pytest.approx(2**7.5, rel=0.5)
    assert growth(scaled) < np.exp(0.5) * 1.2
    assert "residual-growth" in {found.kind for found in diagnosis.explain(full) if not found.hint}
    assert "residual-growth" not in {found.kind for found in diagnosis.explain(scaled)}


class Bottleneck(nn.Module):
    """Units in the middle, between layers of 32."""

    units: int

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Dense(32)(x))
        x = nn.Dense(self.units, use_bias=False)(x)
        x = nn.Dense(32)(x)
        return nn.Dense(3)(x)


@pytest.mark.parametrize("units, features, hinted", [(1, 16, True), (8, 16, False), (1, 1, False)])
def test_a_layer_of_one_direction_is_named_where_the_inputs_have_many(key, initialised, units, features, hinted):
    """What a linear layer makes of one unit has one direction; so has what is made of one feature, and says nothing."""
    inputs = jax.random.normal(key, (64, features))
    report = probe.read(initialised(Bottleneck(units), inputs), (inputs, jnp.arange(64) % 3), "cross_entropy")
    rows = {row.name: row for row in report.layers}
    assert rows["Dense_2"].effective_rank == pytest.approx(1, abs=0.01) or units > 1
    found = [f for f in diagnosis.explain(report) if f.kind == "low-rank-representation"]
    assert [(f.hint, f.layers) for f in found] == ([(True, ("Dense_2",))] if hinted else [])


def test_inputs_have_an_effective_rank_and_tokens_have_none(batch, initialised):
    axes = jnp.concatenate([jnp.eye(8), -jnp.eye(8)])
    model = lambda x: probe.tap("here", x)
    read = lambda inputs: probe.read(model, inputs, lambda out: jnp.mean(out * 1.0), jacobian=False).inputs[0].effective_rank
    assert read(axes * 1e30) == pytest.approx(8, rel=1e-3)
    assert np.isnan(read(jnp.zeros((4,))))
