"""The gradient's profile over depth as a still picture, by theory: README's, and the front page's where scripts are off."""

import math
from collections.abc import Callable
from pathlib import Path

import jax

from jaxnotes import meanfield
from jaxnotes.command import files, start

PATH = Path(__file__).resolve().parent / "source" / "_static" / "profile.svg"
DEPTH, RANGE = 50, 15.0  # layers; powers of ten on either side of 1
LEFT, RIGHT, TOP, BOTTOM = 52.0, 440.0, 36.0, 272.0
TITLE = "The gradient's size on its way back through a network of 50 layers, by theory"
# A network a line: what it is, activation function, weight variance, branch scale (None: no shortcut), colour, label's shift.
NETWORKS = (
    ("ReLU, three times He's variance", jax.nn.relu, 6.0, None, "#B04A00", 0.0),
    ("He's, with a shortcut", jax.nn.relu, 2.0, 1.0, "#9C3D77", 0.0),
    ("He's, shortcut and branch times 1/√L", jax.nn.relu, 2.0, DEPTH**-0.5, "#7A5200", -8.0),
    ("ReLU, He's variance", jax.nn.relu, 2.0, None, "#00704F", 10.0),
    ("ReLU, half of He's variance", jax.nn.relu, 1.0, None, "#3570A8", 0.0),
    ("sigmoid, Xavier's variance", jax.nn.sigmoid, 1.0, None, "#00497A", 0.0),
)


def profile(activation: Callable, weight_variance: float, branch_scale: float | None, depth: int = DEPTH) -> list[float]:
    """Returns log10 of the gradient's norm at layers 0 … depth over that at the last one, at infinite width."""
    logs = meanfield.log_gradient_gain(activation, 1.0, weight_variance, 0.0, depth, branch_scale=branch_scale)
    return [float((logs[-1] - log) / (2 * math.log(10))) for log in logs]


def drawing() -> str:
    """Returns the picture as SVG, with a white ground of its own so that it reads on dark pages too."""
    height = (BOTTOM - TOP) / 2
    across = lambda layer: LEFT + (RIGHT - LEFT) * layer / DEPTH
    down = lambda log: (TOP + BOTTOM) / 2 - height * max(-RANGE, min(RANGE, log)) / RANGE
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 300" width="720" height="300" role="img" '
        'font-family="system-ui, sans-serif" font-size="13">'
        f"<title>{TITLE}</title>",
        '<rect width="720" height="300" rx="8" fill="#ffffff"/>',
    ]
    parts.append(f'<text x="{LEFT - 40}" y="20" fill="#333333" font-weight="600">{TITLE}</text>')
    for log in (-15, -10, -5, 0, 5, 10, 15):
        parts.append(f'<path d="M{LEFT} {down(log):.1f}H{RIGHT}" stroke="{"#555555" if log == 0 else "#dddddd"}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{down(log) + 4:.1f}" text-anchor="end" fill="#333333">{_power(log)}</text>')
    parts.append(f'<text x="{LEFT}" y="291" fill="#333333">last layer, {DEPTH}</text>')
    parts.append(f'<text x="{RIGHT}" y="291" text-anchor="end" fill="#333333">first layer</text>')
    for name, activation, weight_variance, branch_scale, color, shift in NETWORKS:
        logs = profile(activation, weight_variance, branch_scale)
        seen = [layer for layer, log in enumerate(logs) if abs(log) <= RANGE]
        points = " ".join(f"{across(DEPTH - layer):.1f},{down(logs[layer]):.1f}" for layer in reversed(seen))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2.5"/>')
        end = across(DEPTH - seen[0])
        parts.append(f'<text x="{max(end, 0) + 6:.0f}" y="{down(logs[seen[0]]) + 4 + shift:.1f}" fill="{color}">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _power(exponent: int) -> str:
    digits = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{digits}" if exponent else "1"


def main(argv) -> None:
    del argv
    files.write_text(PATH, drawing())


if __name__ == "__main__":
    start.start(main, usage=__doc__)
