"""Right and wrong values for the parameters of public functions, by their names and annotations."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import optax

from jaxnotes.layers import activations, initializers, normalization, recurrent
from jaxnotes.models.recurrent import CELLS

# Sizes of the axes and of the parameters of that name. Few, so that one program serves many calls.
SIZES = {
    "batch": (2, 3), "time": (1, 3), "source": (3,), "n": (2,), "height": (4,), "steps": (2,),
    "n_in": (2, 3), "n_out": (1, 4), "n_left": (2, 3), "n_right": (2, 3), "n_symbols": (2, 3), "classes": (2,), "outputs": (4,),
    "width": (4,), "features": (4,), "channels": (2,), "hidden": (3,), "depth": (1, 2), "heads": (1, 2), "groups": (1, 2),
    "n_examples": (6,), "batch_size": (2, 6), "negatives": (1,), "kernel_size": (2, 3), "filter_size": (2, 3),
    "window": (1, 2), "stride": (1, 2), "split_seed": (0, 1), "examples": (50,), "translations": (1,), "scalar": (1,),
}  # fmt: skip
# (right, wrong) numbers of each name; further kinds of wrong ones are in `wrong_numbers`.
NUMBERS = {
    "keep_probability": ((0.3, 1), (-0.1, 1.5, np.nan)),
    "momentum": ((0.9, 1), (-0.1, 1.5, np.nan)),
    "epsilon": ((1e-5, 1e-2), (0.0, -1.0, np.inf, np.nan)),
    "limit": ((0.5, 2, 0.0), (-1.0, np.nan)),
    "threshold": ((0.05,), (0.0, 1.0, np.nan)),
    "variance": ((0.5, 1, 0.0), (-1.0, np.inf, np.nan)),
    "value": ((0.5, 2, 0.0), (-1.0, np.inf, np.nan)),
    "bias_variance": ((0.5, 1, 0.0), (-1.0, np.inf, np.nan)),
}
SCALES = ("alpha", "branch_scale", "forget_bias", "gain", "negative_slope", "shortcut_scale")
NUMBERS |= dict.fromkeys(SCALES, ((0.5, 1), (np.inf, np.nan)))
# Parameters that are trees of arrays.
TREES = ("params", "state", "blocks", "gradients", "tree", "before", "after")
CHOICES = {
    "padding": ("VALID", "SAME", "CIRCULAR", "REFLECT"),
    "running_variance": normalization.RUNNING_VARIANCES,
    "pool": ("max", "average", "blur", "max-blur", "polyphase", "stride", "none"),
    "head": ("flatten", "average", "max"),
    "cell": tuple(CELLS),
    "package": ("numpy", "jaxtyping"),
}


class World(NamedTuple):
    """What all arguments of a call agree on: sizes by name, the spatial axes, the dtype, and the source of the numbers."""

    sizes: dict[str, int]
    spatial: tuple[int, ...]
    dtype: str
    seed: int

    def normal(self, shape: Sequence[int]) -> jax.Array:
        """Gaussian numbers of the world's dtype."""
        return jnp.asarray(np.random.default_rng(self.seed).standard_normal(shape), self.dtype)


def axes_of(annotation: Any, world: World) -> tuple[int, ...]:
    """The shape that a jaxtyping annotation names, in this world."""
    stars = {"*spatial": world.spatial, "*shape": (3, world.sizes["features"]), "*batch": (2,)}
    shape: tuple[int, ...] = ()
    for word in annotation.dim_str.split():
        shape += stars[word] if word in stars else (world.sizes["height" if word == "height" else word],)
    return shape


def array_annotation(annotation: Any) -> Any:
    """The jaxtyping annotation itself, or the one inside of an optional one; None where there is none of an array."""
    found = [one for one in (annotation, *get_args(annotation)) if hasattr(one, "dim_str")]
    return found[0] if found else None


def is_number(annotation: Any) -> bool:
    return float in get_args(annotation) or annotation is float


def tree(world: World) -> dict[str, Any]:
    return {"a": world.normal((3,)), "b": [world.normal((2, 2))]}


def right(door: str, parameter: inspect.Parameter, world: World, params: Callable[[], Any], pick: Callable) -> Any:
    """A right value of a parameter; KeyError where nothing is known of it, so that a new parameter is noticed."""
    name, annotation, function = parameter.name, parameter.annotation, door.rpartition(".")[2]
    array = array_annotation(annotation)
    if name in TREES and array is None:
        return params()
    if name == "initial":
        state = world.normal((world.sizes["width"],))
        return pick((None, recurrent.LSTMState(state, state) if function == "lstm" else state))
    if name in NUMBERS and is_number(annotation):
        return pick(NUMBERS[name][0])
    if array is not None:
        return _array(name, array, world, pick)
    if annotation is bool:
        return pick((False, True))
    if name in CHOICES:
        return pick(CHOICES[name])
    if name == "name":
        return "tanh" if door.startswith("activations") else "he_normal"
    if name == "dtype":
        return jnp.dtype(world.dtype)
    if name in FUNCTIONS:
        return FUNCTIONS[name]
    if name == "optimizer":
        return optax.sgd(0.1)
    if name == "axes":
        return -1
    if name == "shape":
        return pick(((3,), (3, 4)))
    if name == "image_shape":
        return (*world.spatial, world.sizes["n_in"])
    if name == "channels":
        return (2,)
    if function == "convolution_init" and name == "kernel_size":
        return (world.sizes[name],) * len(world.spatial)
    return world.sizes[name]


def _array(name: str, annotation: Any, world: World, pick: Callable) -> Any:
    if annotation.dtypes == jaxtyping.Key[jax.Array, ""].dtypes:
        return jax.random.key(world.seed)
    shape = axes_of(annotation, world)
    if "bool" in annotation.dtypes:
        return pick((None, jnp.ones(shape, bool)))
    if any("int" in str(dtype) for dtype in annotation.dtypes):
        return jnp.asarray(np.random.default_rng(world.seed).integers(0, 2, shape), jnp.int32)
    return world.normal(shape)


def halve(params: Any, x: jax.Array) -> jax.Array:
    """The branch of a residual connection."""
    return x / 2


def mean_square(params: Any, batch: jax.Array) -> jax.Array:
    """A loss."""
    return sum(jnp.mean((leaf.astype(jnp.float32) - batch.astype(jnp.float32).mean()) ** 2) for leaf in jax.tree.leaves(params))


FUNCTIONS = {
    "activation": activations.tanh,
    "initializer": initializers.he_normal,
    "recurrent_initializer": initializers.orthogonal(),
    "normalise": normalization.layer_norm,
    "branch": halve,
    "loss": mean_square,
}


# Not wrong: the same value of NumPy, or as the raw numbers of a key.
ALIKE = "the same in another form"


def wrong(door: str, parameter: inspect.Parameter, value: Any) -> dict[str, Any]:
    """Wrong values of a parameter by a short description. Those of a changed shape may still fit: the signature decides."""
    name, annotation, function = parameter.name, parameter.annotation, door.rpartition(".")[2]
    array = array_annotation(annotation)
    kinds: dict[str, Any] = {"text": "seven", "an object": object()}
    if parameter.default is not None and name != "known":
        kinds["None"] = None
    if name == "data":
        # What a batch may be is the loss's own matter.
        return {"a scalar": np.asarray(value).ravel()[0]} if function != "train_step" else {}
    if name in (*TREES, "initial") and not isinstance(value, jax.Array | None):
        return {} if function == "residual" else wrong_trees(function, value)  # the branch's own matter
    if name in NUMBERS and is_number(annotation):
        return kinds | wrong_numbers(name)
    if array is not None and array.dtypes == jaxtyping.Key[jax.Array, ""].dtypes:
        return kinds | {
            "a seed": 0,
            "several keys": jax.random.split(value, 2),
            "floats": jnp.ones(2),
            ALIKE: jax.random.key_data(value),
        }
    if door == "returned.train_on":  # it is compiled, and what is no array JAX itself refuses
        kinds = {}
    if isinstance(value, jax.Array):
        return kinds | wrong_arrays(value) | {ALIKE: np.asarray(value)}
    if annotation is bool:
        return {"text": "False", "None": None, "one": 1, "an array": jnp.ones(2, bool)}
    if name in CHOICES or name == "name":
        return {"unknown": "no such name", "None": None, "a number": 3, "a list": ["tanh"], "empty": ""}
    if name == "dtype":
        return kinds | {"integers": jnp.int32, "complex": jnp.complex64, "bool": bool}
    if name in FUNCTIONS:
        return kinds if name == "loss" or door in LATER else kinds | {"a shape": lambda *_: jnp.ones((7, 1, 2))}
    if name == "optimizer" or name == "known":
        return kinds
    sizes = kinds | {"fraction": 2.5, "complex": 1j, "bool": True, "array": jnp.ones(2, jnp.int32)}
    if name == "axes":
        return sizes | {"beyond": 7, "none": (), "twice": (0, 0)}
    return sizes | {"negative": -1, ALIKE: np.int64(value)} if isinstance(value, int) else sizes | {"a negative one": (-1,)}


def wrong_numbers(name: str) -> dict[str, Any]:
    """Of a wrong kind, or out of range."""
    out_of_range = {f"{number}": number for number in NUMBERS[name][1]}
    arrays = {"several": jnp.ones(2), "integer array": np.ones((), np.int32), "out of range": jnp.float32(NUMBERS[name][1][0])}
    return out_of_range | arrays | {"complex": 1j, "bool": True, "list": [0.5]}


def wrong_arrays(value: jax.Array) -> dict[str, Any]:
    """Of another dtype, kind or shape."""
    value = np.asarray(value)  # an operation of JAX would be compiled
    other = np.float32 if value.dtype.kind in "ib" else np.int32
    kinds = {
        "another dtype": value.astype(other),
        "complex": value.astype(np.complex64),
        "list": value.tolist(),
        "one axis more": value[None],
        "keys": jax.random.key(0),
    }
    if value.dtype != np.bool_:
        kinds["bool"] = value.astype(bool)
    if value.ndim:
        kinds |= {
            "one axis less": value[0],
            "last axis longer": np.concatenate([value, value[..., :1]], axis=-1),
            "first axis longer": np.concatenate([value, value[:1]], axis=0),
            "last axis of one": value[..., :1],
            "first axis empty": value[:0],
            "last axis empty": value[..., :0],
        }
    alike = lambda one: (getattr(one, "shape", None), getattr(one, "dtype", None)) == (value.shape, value.dtype)
    return {kind: one for kind, one in kinds.items() if not alike(one)}  # the last axis may be of one already


def wrong_trees(function: str, value: Any) -> dict[str, Any]:
    """Each with one leaf of another dtype or shape, or without one of its entries."""
    found = {"text": "seven", "a number": 1.0} | ({} if function in ANY_TREE else {"an empty list": [], "None": None})
    leaves, structure = jax.tree.flatten(value)
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(value)]
    for at, (path, leaf) in enumerate(zip(paths, leaves, strict=True)):
        for kind, bad in wrong_arrays(leaf).items():
            shape_changes = hasattr(bad, "shape") and bad.dtype == leaf.dtype
            if kind == "list" or (shape_changes and (function in ANY_TREE or _is_right(function, path, kind))):
                continue
            found[f"{path}: {kind}"] = jax.tree.unflatten(structure, [*leaves[:at], bad, *leaves[at + 1 :]])
    if isinstance(value, dict) and function not in ANY_TREE | OPTIONAL_ENTRIES:
        for entry in value:
            if entry != "norm":  # of a pre-norm transformer alone
                found[f"without {entry}"] = {name: one for name, one in value.items() if name != entry}
    return found


# What the function makes is seen when the function that these return is called, as it is too.
LATER = ("activations.derivative", "mlp.hidden_layer", "residual_network.residual_layer")
# Functions of any tree of floats.
ANY_TREE = {
    *("clip_by_value", "clip_by_global_norm", "global_norm", "zero_initialised", "init_state"),
    *("train_step", "train", "train_on"),
}
# What a norm lacks of scale and shift it leaves out.
OPTIONAL_ENTRIES = {"batch_norm", "group_norm", "layer_norm", "rms_norm", "normalise_by_batch"}


def _is_right(function: str, path: str, kind: str) -> bool:
    """Whether a leaf may have another first axis: a table its rows, a kernel its cells, a model its characters or positions."""
    free = path.endswith(("['table']", "['positions']")) or (function == "character_model" and path == "['input']['weight']")
    kernel = function in ("convolution", "block", "features") or (function == "convolutional" and "blocks" in path)
    if function == "embedding" and "last axis" in kind:  # of any width
        return True
    return "first axis" in kind and (free or (kernel and path.endswith("['weight']") and kind == "first axis longer"))
