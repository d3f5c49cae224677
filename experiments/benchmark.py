"""The speed table: each row a ratio of interleaved medians in one run, or seconds, against its target. Fails on no number."""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from absl import flags
from rich.console import Console
from rich.table import Table

from experiments.study import fingerprint, results, script, topics
from jaxnotes import jacobians, probe
from jaxnotes.command import files, start
from jaxnotes.layers.activations import tanh
from jaxnotes.layers.initializers import weight_variance
from jaxnotes.models.mlp import hidden_layer, stack_init

layer = hidden_layer(tanh)


class Row(NamedTuple):
    """A line of the table; the lower the better unless `at_least`."""

    name: str
    value: float
    target: float
    unit: str
    at_least: bool = False


def sum_of_squares(h: jax.Array) -> jax.Array:
    """Returns the sum of squares, the loss in every row of the table."""
    return jnp.sum(h**2)


def problem(depth: int, width: int = 128, batch: int = 8) -> tuple[dict[str, jax.Array], jax.Array]:
    """Parameters of a critical tanh stack and an input."""
    key_params, key_input = jax.random.split(jax.random.key(depth))
    params = stack_init(key_params, width, depth, initializer=weight_variance(1.5), bias_variance=0.05)
    return params, jax.random.normal(key_input, (batch, width))


def median_seconds(function: Callable, arguments: tuple, rounds: int) -> float:
    """Returns the median time of a call, once compiled."""
    jax.block_until_ready(function(*arguments))
    return statistics.median(call_seconds(function, arguments) for _ in range(rounds))


def call_seconds(function: Callable, arguments: tuple) -> float:
    start = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    return time.perf_counter() - start


def interleaved_ratio(ours: Callable, peer: Callable, arguments: tuple, rounds: int) -> float:
    """Returns the median over rounds of time(ours) / time(peer), both compiled and called in turn, so that drift hits both."""

    for function in (ours, peer):
        jax.block_until_ready(function(*arguments))
    return statistics.median(call_seconds(ours, arguments) / call_seconds(peer, arguments) for _ in range(rounds))


def compile_seconds(depth: int) -> float:
    """Returns the time to trace and compile the gradient norms, without the persistent cache."""
    params, x = problem(depth, width=32)
    start = time.perf_counter()
    # A new function each time: the same would be found compiled.
    jax.jit(lambda p, x: jacobians.gradient_norms(lambda q, h: layer(q, h), p, x, sum_of_squares)).lower(params, x).compile()
    return time.perf_counter() - start


def compile_row(rounds: int) -> Row:
    jax.config.update("jax_enable_compilation_cache", False)
    compile_seconds(5)
    ratio = statistics.median(compile_seconds(10_000) / compile_seconds(10) for _ in range(rounds))
    jax.config.update("jax_enable_compilation_cache", True)
    return Row("compile gradient norms, depth 10,000 / depth 10", ratio, 1.1, "ratio")


def gradient_rows(rounds: int) -> list[Row]:
    def loss(params, x):
        return sum_of_squares(jax.lax.scan(lambda h, p: (layer(p, h), None), x, params)[0])

    peer = jax.jit(jax.value_and_grad(loss))
    both = jax.jit(lambda p, x: jacobians.value_and_gradient_norms(layer, p, x, sum_of_squares))
    alone = jax.jit(lambda p, x: jacobians.gradient_norms(layer, p, x, sum_of_squares))
    rows = []
    for depth in (10, 100, 1000):
        arguments = problem(depth)
        with_parameters = interleaved_ratio(both, peer, arguments, rounds)
        rows.append(
            Row(f"all gradient norms with parameter gradients / value_and_grad, depth {depth}", with_parameters, 1.1, "ratio")
        )
        without = interleaved_ratio(alone, peer, arguments, rounds)
        rows.append(Row(f"all gradient norms alone / value_and_grad, depth {depth}", without, 0.7, "ratio"))
    return rows


def jacobian_rows(rounds: int) -> list[Row]:
    rows = []
    for depth, least in ((50, 15), (200, 50)):
        params, x = problem(depth)
        matrices = jacobians.local_jacobians(layer, params, x)
        frobenius = jax.jit(lambda p, x, m: jacobians.log_frobenius_norms(layer, p, x))
        name = "log norms of all end-to-end Jacobians"
        ratio = interleaved_ratio(frobenius, jax.jit(lambda p, x, m: chain(m)), (params, x, matrices), rounds)
        rows.append(Row(f"{name} / bare chain of products, depth {depth}", ratio, 1.3, "ratio"))
        one, matrix = x[:1], matrices[:, :1]
        stored = jax.jit(lambda p, x, m: jacobians.end_to_end(layer, p, x))
        ratio = interleaved_ratio(stored, jax.jit(lambda p, x, m: chain_stored(m)), (params, one, matrix), rounds)
        rows.append(Row(f"all end-to-end Jacobians stored, one example / chain, depth {depth}", ratio, 1.4, "ratio"))
        by_hand = layer_by_layer_seconds(params, one, rounds)
        ours = median_seconds(frobenius, (params, one, matrix), rounds)
        ratio = by_hand / ours
        rows.append(Row(f"jax.jacrev layer by layer / {name}, depth {depth}", ratio, least, "times faster", at_least=True))
    return rows


def chain(matrices: jax.Array) -> jax.Array:
    """Returns the products alone, last layer first, batched; their sum keeps them from being dropped."""
    identity = jnp.broadcast_to(jnp.eye(matrices.shape[-1]), matrices.shape[1:])

    def step(product: jax.Array, matrix: jax.Array) -> tuple[jax.Array, None]:
        return product @ matrix, None

    return jax.lax.scan(step, identity, matrices, reverse=True)[0]


def chain_stored(matrices: jax.Array) -> jax.Array:
    """Returns the products, each kept."""
    identity = jnp.broadcast_to(jnp.eye(matrices.shape[-1]), matrices.shape[1:])
    return jax.lax.scan(lambda product, matrix: (product @ matrix,) * 2, identity, matrices, reverse=True)[1]


def layer_by_layer_seconds(params, x: jax.Array, rounds: int) -> float:
    """Returns the time of what one writes by hand: jax.jacrev of the rest of the network, once for every layer.

    Timed from five layers, evenly spaced, and summed over all by the trapezoid rule: its time is linear in what is left.
    """
    depth = params["weight"].shape[0]
    starts = [round(depth * share) for share in (0, 0.25, 0.5, 0.75, 1)]

    def norm(rest, h: jax.Array) -> jax.Array:
        jacobian = jax.jacrev(lambda h: jax.lax.scan(lambda h, p: (layer(p, h), None), h[None], rest)[0][0])(h[0])
        return jnp.log(jnp.linalg.norm(jacobian))

    compiled = jax.jit(norm)
    seconds = [median_seconds(compiled, (jax.tree.map(lambda p, s=s: p[s:], params), x), rounds) for s in starts[:-1]] + [0.0]
    return sum((a + b) / 2 * (end - start) for a, b, start, end in zip(seconds, seconds[1:], starts, starts[1:], strict=False))


def study_rows() -> list[Row]:
    """Measures 32 seeds × 16 weight variances, depth 100, width 128, batch 8, in a process of its own for its peak memory."""
    source = "from experiments.benchmark import study; study()"
    out = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True).stdout.split()
    name = "study of 32 seeds × 16 weight variances, depth 100, width 128, batch 8"
    return [
        Row(f"{name}, compiled", float(out[0]), 5, "s"),
        Row(f"{name}, peak memory of the process", float(out[1]), 600, "MB"),
    ]


def study() -> None:
    """Prints the seconds of a second run and the process's peak memory in MB."""
    variances = jnp.linspace(0.5, 4.0, 16)

    def one(key: jax.Array) -> jax.Array:
        params = stack_init(key, 128, 100, initializer=weight_variance(1.0))
        x = jax.random.normal(key, (8, 128))

        def at(variance: jax.Array) -> jax.Array:
            def scaled(p: dict[str, jax.Array], h: jax.Array) -> jax.Array:
                return tanh(jnp.sqrt(variance) * (h @ p["weight"]) + p["bias"])  # the product is shared by all variances

            return jacobians.log_gradient_norms(scaled, params, x, sum_of_squares)

        return jax.vmap(at)(variances)

    whole = jax.jit(lambda keys: jax.lax.map(one, keys))
    keys = jax.random.split(jax.random.key(0), 32)
    jax.block_until_ready(whole(keys))
    start = time.perf_counter()
    jax.block_until_ready(whole(keys))
    unit = 1024 if sys.platform != "darwin" else 1024**2
    print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)


def monitor_row(rounds: int) -> Row:
    """Compares 200 steps of Adam with and without `probe.monitor` at its usual interval."""
    params, x = problem(10, batch=64)

    def trained(optimizer: optax.GradientTransformation):
        def step(carry, _):
            params, state = carry
            gradient = jax.grad(lambda p: sum_of_squares(jax.lax.scan(lambda h, q: (layer(q, h), None), x, p)[0]))(params)
            updates, state = optimizer.update(gradient, state, params)
            return (optax.apply_updates(params, updates), state), None

        return jax.jit(lambda params: jax.lax.scan(step, (params, optimizer.init(params)), None, length=200)[0][0])

    adam = optax.adam(1e-4)
    watched = probe.monitor(lambda seen: None, adam, every=50)
    ratio = interleaved_ratio(trained(watched), trained(adam), (params,), rounds)
    return Row("200 steps of Adam with probe.monitor every 50 / without", ratio, 1.05, "ratio")


def process_rows(out_dir: Path) -> list[Row]:
    """Returns the time of a quick script from a cold process to its figures, and of the last full run where there is one."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "experiments.saturation", "--scale=quick", f"--out_dir={folder}"]
        subprocess.run(command, check=True, capture_output=True)  # fills the compilation cache
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        rows = [Row("quick script, cold process to figures", time.perf_counter() - start, 10, "s")]
    present = results.load_all(out_dir)
    if len(present) == len(topics.TOPICS) and all(found.run.scale == "paper" for found in present):
        seconds = sum(found.run.seconds for found in present)
        rows.append(Row("measurements of make figures, last run", seconds, 1200, "s"))
    return rows


def main(argv) -> None:
    del argv
    out_dir, rounds = Path(flags.FLAGS.out_dir), flags.FLAGS.rounds
    files.check_writable(out_dir)
    start.use_compilation_cache()
    rows = [compile_row(rounds), *gradient_rows(rounds), *jacobian_rows(rounds), *study_rows(), monitor_row(rounds)]
    rows += process_rows(out_dir)
    table = Table("what", "measured", "target", title="Speed", title_justify="left")
    for row in rows:
        bound = ("at least " if row.at_least else "at most ") + f"{row.target:g}"
        met = row.value >= row.target if row.at_least else row.value <= row.target
        table.add_row(row.name, f"{'' if met else '[bold]'}{row.value:.3g} {row.unit}", bound)
    Console(width=120).print(table)
    document = {"device": fingerprint.device(), "versions": fingerprint.versions(), "rows": [row._asdict() for row in rows]}
    files.write_text(out_dir / "benchmark.json", json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    script.define_common_flags()
    flags.DEFINE_integer("rounds", 9, "Rounds of every interleaved comparison.", lower_bound=2, module_name=sys.argv[0])
    start.start(main, usage=__doc__)
