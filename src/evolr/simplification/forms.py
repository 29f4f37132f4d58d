"""The form in which formulas are simplified: a sum of products of powers, with numbers before the products.

    constant + c₁ · a₁^e₁ · a₂^e₂ · … + c₂ · …

What stands under an exponent is a Call: a signal, a function of forms, or a sum in brackets. In this form like terms add
up and like factors multiply; rules.py makes it and writing.py reads it.
"""

from __future__ import annotations

import math

from evolr.simplification.ranges import Range, power_of, product_of, range_of, sum_of

Product = tuple[tuple["Call", float], ...]
"""Calls with their exponents, none of which is 0. A call that may be negative has a whole exponent."""

BRACKET = "bracket"
"""The name of the call that is a sum in brackets."""


class Call:
    """A signal or a function of forms; two are equal if they are written with the same parts."""

    __slots__ = ("arguments", "key", "name", "range")

    def __init__(self, name: str, arguments: tuple[Form, ...] = ()) -> None:
        keys = [argument.key for argument in arguments]
        self.name = name
        self.arguments = arguments
        self.key = f"{name}({', '.join(sorted(keys) if name in ('min', 'max') else keys)})"
        self.range: Range = range_of(name, [argument.range for argument in arguments])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Call) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


class Form:
    """constant + the sum of coefficient · product. terms: (product, coefficient), in the order of writing.

    key: equal for forms that are equal up to order.
    Raises OverflowError where a number is not finite, or a coefficient is too small for a float.
    """

    __slots__ = ("constant", "key", "range", "terms")

    def __init__(self, constant: float, terms: tuple[tuple[Product, float], ...] = ()) -> None:
        if not (math.isfinite(constant) and all(c and math.isfinite(c) for _, c in terms)):
            raise OverflowError("a number of a simplified form is beyond floats")
        self.constant = constant
        self.terms = terms
        self.key = " + ".join([repr(constant), *sorted(f"{c!r}*{product_key(product)}" for product, c in terms)])
        range_: Range = (constant, constant)
        for product, coefficient in terms:
            range_ = sum_of(range_, product_of((coefficient, coefficient), product_range(product)))
        self.range = range_

    @property
    def number(self) -> float | None:
        """The value of a form that is a number, else None."""
        return None if self.terms else self.constant

    @property
    def monomial(self) -> tuple[float, Product] | None:
        """Coefficient and product of a form that is one product, else None."""
        if self.constant == 0 and len(self.terms) == 1:
            product, coefficient = self.terms[0]
            return coefficient, product
        return None

    @property
    def call(self) -> Call | None:
        """The signal or function of a form that is nothing else, else None."""
        if self.monomial and self.monomial[0] == 1 and len(self.monomial[1]) == 1:
            call, exponent = self.monomial[1][0]
            return call if exponent == 1 else None
        return None

    @property
    def coefficients(self) -> list[float]:
        """The numbers of the sum, the constant first if it is not 0."""
        return [*([self.constant] if self.constant else []), *(c for _, c in self.terms)]

    def times(self, factor: float) -> Form:
        """Every number of the sum multiplied."""
        return Form(self.constant * factor, tuple((product, c * factor) for product, c in self.terms))


def product_key(product: Product) -> str:
    """Equal for products that are equal up to order."""
    return "*".join(sorted(f"{call.key}^{exponent!r}" for call, exponent in product))


def product_range(product: Product) -> Range:
    """The range of a product of powers."""
    range_: Range = (1.0, 1.0)
    for call, exponent in product:
        range_ = product_of(range_, power_of(call.range, exponent))
    return range_


def of_call(name: str, *arguments: Form) -> Form:
    """The form that is one signal or one function."""
    return Form(0.0, ((((Call(name, arguments), 1.0),), 1.0),))
