"""Small language models: attention, embeddings, depth without normalisation."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import optax

from experiments.diagnosis.networks import WIDTH, LanguageModel
from experiments.diagnosis.program import Program, fault, over
from experiments.diagnosis.tasks import TEXT, VOCABULARY

normal = jax.nn.initializers.normal
RATE = optax.adam(3e-3)
PRE = Program(design="pre-norm language model", task=TEXT, network=LanguageModel(), optimizer=RATE)
OWN = Program(design="attention written out", task=TEXT, network=LanguageModel(own=True), optimizer=RATE)
POST = Program(
    design="post-norm, two blocks", task=TEXT, network=LanguageModel(order="post", tied=False), optimizer=optax.adam(2e-3)
)


def _next_by_gru(layers, tokens):
    x, _ = layers.embed(tokens, VOCABULARY, 24, normal(0.3))
    return layers.dense(layers.recurrent(x, "gru", 32), VOCABULARY)


def _two_tokens(layers, tokens, entries=VOCABULARY):
    x, _ = layers.embed(tokens, entries, 16, normal(0.3))
    before = jnp.concatenate([jnp.zeros_like(x[..., :1, :]), x[..., :-1, :]], -2)
    return layers.dense(jax.nn.relu(layers.dense(jnp.concatenate([before, x], -1), 48)), VOCABULARY)


TWO = Program(design="two tokens of context", task=TEXT, network=_two_tokens)


def _sinusoidal(layers, tokens):
    x, table = layers.embed(tokens, VOCABULARY, WIDTH, normal(0.1))
    angle = jnp.arange(tokens.shape[-1])[:, None] / 100 ** (jnp.arange(WIDTH // 2) / (WIDTH // 2))
    x = x + 0.1 * jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], -1)
    mask = jnp.tril(jnp.ones((tokens.shape[-1],) * 2, bool))
    for _ in range(2):
        x = x + layers.attention(layers.layer_norm(x), 2, mask)
        x = x + layers.dense(jax.nn.relu(layers.dense(layers.layer_norm(x), 2 * WIDTH)), WIDTH)
    return layers.layer_norm(x) @ table.T


HEALTHY = (
    *over(PRE),
    *over(OWN),
    *over(POST, "linen", "nnx", "function"),
    *over(Program(design="untied head", task=TEXT, network=LanguageModel(tied=False), optimizer=RATE), "linen", "equinox"),
    *over(Program(design="GRU language model", task=TEXT, network=_next_by_gru), "linen", "nnx", "equinox"),
    *over(TWO),
    *over(Program(design="sinusoidal positions", task=TEXT, network=_sinusoidal, optimizer=RATE), "linen", "equinox"),
)

WIDE = normal(0.6)
FAULTY = (
    *over(
        fault(
            PRE,
            "tied embedding of 1",
            "loss-at-start",
            "review: logits far too large at the start",
            network=LanguageModel(table=normal(1.0)),
        )
    ),
    *over(
        fault(
            OWN,
            "scores not divided",
            "attention",
            "review: attention without 1/√d, saturated",
            network=LanguageModel(own=True, scale=1.0, spread=WIDE, heads=1),
        )
    ),
    *over(
        fault(
            OWN,
            "queries see nothing",
            "attention",
            "review: rows with everything masked",
            network=LanguageModel(own=True, mask="empty"),
        ),
        "linen",
        "nnx",
        "function",
    ),
    *over(
        fault(
            OWN,
            "mask upside down",
            ("attention", "target-leakage"),
            "review: mask on the wrong axis",
            network=LanguageModel(own=True, mask="upper"),
        ),
        "linen",
        "equinox",
        "function",
    ),
    *over(
        fault(
            PRE,
            "no mask",
            "target-leakage",
            "Vaswani 2017: queries that see the next token",
            network=LanguageModel(mask="none"),
        )
    ),
    *over(
        fault(
            OWN,
            "mask off by one",
            "target-leakage",
            "Vaswani 2017: queries that see the next token",
            network=LanguageModel(own=True, mask="ahead"),
        )
    ),
    *over(
        fault(
            TWO,
            "table too short",
            "indices",
            "JAX's issues: indices out of bounds raise no error",
            network=partial(_two_tokens, entries=VOCABULARY - 4),
        )
    ),
    *over(
        fault(
            OWN,
            "scores nearly 0",
            "attention",
            "review: uniform softmax rows",
            network=LanguageModel(own=True, spread=normal(1e-3)),
        ),
        "nnx",
        "function",
    ),
    *over(
        fault(
            PRE,
            "softmax twice, tokens",
            "output-activation",
            "DeepFD: softmax before a loss of logits",
            network=LanguageModel(output=jax.nn.softmax),
        )
    ),
    *over(
        fault(
            PRE,
            "softmax over the sequence",
            "output-activation",
            "NeuraLint: softmax over the wrong axis",
            network=LanguageModel(output=lambda x: jax.nn.softmax(x, -2)),
        ),
        "linen",
        "equinox",
    ),
    *over(
        fault(
            PRE,
            "twelve blocks without normalisation",
            ("residual-growth", "loss-at-start", "exploding-gradient", "large-update"),
            "review: residual stream grows",
            network=LanguageModel(blocks=12, order="none"),
            optimizer=optax.adam(2e-2),
        ),
        "linen",
        "function",
    ),
    *over(
        fault(
            POST,
            "post-norm, twelve blocks, high rate",
            ("large-update", "low-rank-representation", "constant-representation", "vanishing-gradient", "attention"),
            "review: post-norm without warm-up",
            network=replace(POST.network, blocks=8),
            optimizer=optax.adam(1e-2),
        ),
        "linen",
        "equinox",
    ),
)
