"""Weight layers with no activation function between them, as the traced program shows."""

import dataclasses

from jaxnotes.probe._structure import Structure
from jaxnotes.probe._weight_layers import Product


@dataclasses.dataclass(frozen=True)
class Linearity:
    """What the traced program says of activation functions.

    Attributes:
      affine: whether the whole model is an affine function of its inputs.
      hidden: how many weight layers have another one behind them, so that an activation function is expected.
      pairs: (layer, the next) with nothing but affine operations between, where one layer could do the work of both.
      narrow: the same where the first has fewer units than the other two sizes: one layer could not, it limits the rank.
      fixed_weights: layers that multiply by a matrix that is no parameter; "before NAME" where the product is in no layer.
    """

    affine: bool = False
    hidden: int = 0
    pairs: tuple[tuple[str, str], ...] = ()
    narrow: tuple[tuple[str, str], ...] = ()
    fixed_weights: tuple[str, ...] = ()


def linearity(structure: Structure) -> Linearity:
    """Returns what the products with weights of a program show."""
    trained = [product for product in structure.products.values() if product.parameters]
    pairs, narrow = [], []
    for second in trained:
        first = structure.products.get(second.after) if second.after else None
        if first is None or not _comparable(first, second):
            continue
        limits = first.units < min(first.fan_in, second.units)
        (narrow if limits else pairs).append((first.name, second.name))
    return Linearity(
        structure.affine, max(len(trained) - 1, 0), tuple(pairs), tuple(narrow), _fixed([*structure.products.values()])
    )


def _fixed(products: list[Product]) -> tuple[str, ...]:
    """Returns the names of the products without parameters, once each; those without a name by the one that follows."""
    names = []
    for place, product in enumerate(products):
        following = next((other.name for other in products[place + 1 :] if other.name), "")
        if not product.parameters and (product.name or following):
            names.append(product.name or f"before {following}")
    return tuple(dict.fromkeys(names))


def _comparable(first: Product, second: Product) -> bool:
    """Returns whether both are full products: a mixing of all channels often follows one of groups, and a lookup is none."""
    named = first.mark is not None and second.mark is not None and not first.mark.kind.startswith("Embed")
    return named and first.parameters > 0 and not first.grouped and not second.grouped
