"""Models of the frameworks' own examples and guides: the right rows, and no finding."""

import keras
import pytest

from jaxnotes import diagnosis, probe
from tests.diagnosis.public_models import MODELS

pytestmark = [pytest.mark.usefixtures("standard_promotion"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]
# Name and shape without the axis of examples of each row, in order of computation; all steps of a recurrence are one.
ROWS = {
    "linen, convolutions": "Conv_0 16×16×8, Conv_1 8×8×16, Dense_1 32, Dense_0 10",
    "linen, residual": (
        "Conv_0 16×16×8, BatchNorm_0 16×16×8, ResidualBlock_0/Conv_0 16×16×8, ResidualBlock_0/BatchNorm_0 16×16×8, "
        "ResidualBlock_0/Conv_1 16×16×8, ResidualBlock_0/BatchNorm_1 16×16×8, ResidualBlock_0 16×16×8, "
        "ResidualBlock_1/Conv_0 16×16×8, ResidualBlock_1/BatchNorm_0 16×16×8, ResidualBlock_1/Conv_1 16×16×8, "
        "ResidualBlock_1/BatchNorm_1 16×16×8, ResidualBlock_1 16×16×8, Dense_0 10"
    ),
    "linen, language model": (
        "Embed_0 12×16, LayerNorm_0 12×16, MultiHeadDotProductAttention_0/query 12×2×8, "
        "MultiHeadDotProductAttention_0/key 12×2×8, MultiHeadDotProductAttention_0/value 12×2×8, "
        "MultiHeadDotProductAttention_0/out 12×16, MultiHeadDotProductAttention_0 12×16, Dropout_0 12×16, LayerNorm_1 "
        "12×16, Dense_1 12×64, Dense_0 12×16, LayerNorm_2 12×16, MultiHeadDotProductAttention_1/query 12×2×8, "
        "MultiHeadDotProductAttention_1/key 12×2×8, MultiHeadDotProductAttention_1/value 12×2×8, "
        "MultiHeadDotProductAttention_1/out 12×16, MultiHeadDotProductAttention_1 12×16, Dropout_1 12×16, LayerNorm_3 "
        "12×16, Dense_3 12×64, Dense_2 12×16, LayerNorm_4 12×16"
    ),
    "linen, LSTM": (
        "Embed_0 12×16, OptimizedLSTMCell_0 16, OptimizedLSTMCell_0[1] 16, OptimizedLSTMCell_0[2] 16, RNN_0 12×16, "
        "Dense_1 16, Dense_0 2"
    ),
    "linen, variational autoencoder": "hidden 64, mean 8, log_variance 8, decoded 64, pixels 256",
    "nnx, convolutions": "conv1 16×16×8, dropout 16×16×8, batch_norm 16×16×8, conv2 8×8×16, linear1 32, linear2 10",
    "nnx, language model": (
        "tokens 12×16, positions 16, attention/query 12×2×8, attention/key 12×2×8, attention/value 12×2×8, attention/out "
        "12×16, attention 12×16, norm1 12×16, wide 12×32, narrow 12×16, norm2 12×16, head 12×40"
    ),
    "nnx, GRU": "cells/cell/dense_i 48, cells/cell/dense_h 48, cells/cell 16, cells/cell[1] 16, cells 12×16, last 10",
    "nnx, autoencoder": "encoder 32, decoder 256",
    "equinox, convolutions": "layers/0 3×12×12, layers/1 3×6×6, layers/4 32, layers/6 10",
    "equinox, GRU": "cell 16, last 1",
    "equinox, vision Transformer": (
        "embed 16×16, norms/0 16×16, attention/query_proj 16×16, attention/key_proj 16×16, attention/value_proj 16×16, "
        "attention/dropout 2×16×16, attention/output_proj 16×16, attention 16×16, norms/1 16×16, mlp/layers/0 16×32, "
        "mlp/layers/1 16×16, mlp 16×16, norms/2 16×16, head 10"
    ),
    "haiku, perceptron": "flatten 256, linear 64, linear_1 32, linear_2 10, sequential 10",
    "haiku, LSTM": "embed 12×16, lstm/linear 64, lstm 16, lstm[1] 16, lstm[2] 16, linear 40",
    "haiku, Transformer": (
        "embed 12×16, layer_norm 12×16, multi_head_attention/query 12×16, multi_head_attention/key 12×16, "
        "multi_head_attention/value 12×16, multi_head_attention/linear 12×16, multi_head_attention 12×16, layer_norm_1 "
        "12×16, linear_1 12×64, linear 12×16, layer_norm_2 12×16, linear_2 12×40"
    ),
    "keras, residual": (
        "conv2d 14×14×16, max_pooling2d 7×7×16, conv2d_1 7×7×16, conv2d_2 7×7×16, add 7×7×16, global_average_pooling2d "
        "16, dense 32, dropout 32, dense_1 10"
    ),
    "keras, bidirectional LSTM": (
        "embedding 12×16, bidirectional/forward_lstm/lstm_cell 16, bidirectional/forward_lstm/lstm_cell[1] 16, "
        "bidirectional/forward_lstm/lstm_cell[2] 16, bidirectional/forward_lstm 16, bidirectional/backward_lstm/lstm_cell "
        "16, bidirectional/backward_lstm/lstm_cell[1] 16, bidirectional/backward_lstm/lstm_cell[2] 16, "
        "bidirectional/backward_lstm 16, bidirectional 32, dense 1"
    ),
    "keras, autoencoder": (
        "conv2d_1 16×16×8, max_pooling2d 8×8×8, conv2d_2 8×8×8, max_pooling2d_1 4×4×8, conv2d_transpose 8×8×8, "
        "conv2d_transpose_1 16×16×8, conv2d 16×16×1"
    ),
    "function, perceptron": "0 64, 1 64, 2 10",
    "function, scanned": "blocks 32, last 10",
}


def rows(report: probe.Report) -> str:
    return ", ".join(f"{row.label} {'×'.join(map(str, row.output_shape[1:]))}" for row in report.layers)


@pytest.mark.parametrize("name", MODELS)
def test_a_public_model_is_read_and_healthy(name):
    keras.utils.clear_session()  # whose names count from the process's start
    example = MODELS[name]()
    report = probe.read(
        example.model, example.batch, example.loss, summarise_steps=True, jacobian=False, **dict(example.options)
    )
    assert rows(report) == ROWS[name]
    assert not diagnosis.explain(report)
