"""The rules of simplification: how an expression becomes a form.

Careful rules hold wherever nothing overflows, up to rounding. Bold ones take no account of what the primitives do where
ordinary mathematics says nothing, or says infinity (log(0), 1/0, exp(100)): whoever uses them compares the values
afterwards (differences.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from evolr.expression import PRIMITIVES, Expression, Token
from evolr.expression.primitives import DIV_THRESHOLD
from evolr.simplification.forms import BRACKET, Call, Form, Product, of_call, product_range

_ROUNDING = 1e-15  # relative: a sum that is nearer to 0 than this is 0

_ZERO, _ONE = Form(0.0), Form(1.0)


class Rules:
    """One set of rules.

    is_bold: whether the bold rules are used. is_flat: whether a number before a bracket is multiplied into it; that makes
    like terms meet, and it may make the constants need more digits.
    Every method raises ArithmeticError where a number leaves the range of floats.
    """

    def __init__(self, *, is_bold: bool, is_flat: bool) -> None:
        self.is_bold = is_bold
        self.is_flat = is_flat
        self._rules: dict[str, Callable[..., Form]] = {
            "add": self._add,
            "sub": self._sub,
            "mul": self._mul,
            "div": self._div,
            "quotient": self._quotient,
            "pow": self._pow,
            "pow_v1": self._pow_v1,
            "sqrt": self._sqrt,
            "sqrt_v1": self._sqrt_v1,
            "exp": self._exp,
            "log": self._log,
            "abs": self._abs,
            "sign": self._sign,
            "sin": self._sin,
            "cos": self._cos,
            "tanh": self._tanh,
            "floor": self._floor,
            "floor_v1": self._floor_v1,
            "less": self._less,
            "less_equal": self._less_equal,
            "equal": self._equal,
            "where": self._where,
            "min": self._min,
            "max": self._max,
        }

    def form(self, expression: Expression) -> Form:
        """The form of an expression."""
        return expression.fold(self._leaf, self._applied)

    def _leaf(self, token: Token) -> Form:
        return of_call(token) if isinstance(token, str) else Form(token)

    def _applied(self, name: str, arguments: Sequence[Form]) -> Form:
        numbers = [form.number for form in arguments]
        if None not in numbers:
            with np.errstate(all="ignore"):
                value = float(PRIMITIVES[name].reference(*(np.float64(n) for n in numbers if n is not None)))
            return Form(value)
        return self._rules[name](*arguments) if name in self._rules else of_call(name, *arguments)

    # --- sums and products ------------------------------------------------------------------------------------------------

    def _add(self, a: Form, b: Form) -> Form:
        terms = dict(a.terms)
        places = {frozenset(product): product for product in terms}  # a product is one whatever its order
        for product, coefficient in b.terms:
            known = places.get(frozenset(product), product)
            total = _total(terms.pop(known), coefficient) if known in terms else coefficient
            if total:
                terms[known] = total
        constant = _total(a.constant, b.constant)
        kept = ((product, c) for product, c in terms.items() if not _is_lost(product, c, constant))
        return Form(constant, tuple(kept))

    def _sub(self, a: Form, b: Form) -> Form:
        return self._add(a, self._scaled(b, -1.0))

    def _mul(self, a: Form, b: Form) -> Form:
        if a.number is not None:
            return self._scaled(b, a.number)
        if b.number is not None:
            return self._scaled(a, b.number)
        (ka, pa), (kb, pb) = self._as_product(a), self._as_product(b)
        return self._of_product(ka * kb, _merged(pa, pb))

    def _scaled(self, form: Form, factor: float) -> Form:
        if factor == 0:
            return _ZERO
        if self.is_flat or abs(factor) == 1 or form.monomial or form.number is not None:
            return form.times(factor)
        return Form(0.0, ((((Call(BRACKET, (form,)), 1.0),), factor),))

    def _as_product(self, form: Form) -> tuple[float, Product]:
        """A form as a number and a product: a sum is put in brackets, its first number taken out if that is flat."""
        if form.monomial:
            return form.monomial
        first = form.coefficients[0] if self.is_flat else 1.0
        return first, ((Call(BRACKET, (form.times(1 / first),)), 1.0),)

    def _of_product(self, coefficient: float, product: Product) -> Form:
        exponentials = [(call, e) for call, e in product if call.name == "exp"]
        if self.is_bold and (len(exponentials) > 1 or any(e != 1 for _, e in exponentials)):
            rest = tuple((call, e) for call, e in product if call.name != "exp")
            inner = _ZERO
            for call, e in exponentials:
                inner = self._add(inner, call.arguments[0].times(e))
            return self._mul(self._of_product(coefficient, rest), self._exp(inner))
        if not product:
            return Form(coefficient)
        if len(product) == 1 and product[0][0].name == BRACKET and product[0][1] == 1:
            return self._scaled(product[0][0].arguments[0], coefficient)
        return Form(0.0, ((product, coefficient),))

    def _power(self, form: Form, exponent: float) -> Form:
        """A form to the power of a number, by the meaning of `pow`."""
        if form.number is not None:
            return Form(_constant_power(form.number, exponent))
        if exponent == 0:
            return _ONE
        if exponent == 1:
            return form
        is_whole = exponent == math.floor(exponent)
        coefficient, product = self._as_product(form)
        if not is_whole and coefficient < 0 and not form.monomial:  # the number in a bracket is free to choose
            product = tuple((Call(c.name, (c.arguments[0].times(-1.0),)), e) for c, e in product)
            coefficient = -coefficient
        if not is_whole and (coefficient < 0 or any(call.range[0] < 0 for call, _ in product)):
            return of_call("pow", form, Form(exponent))
        return self._of_product(_constant_power(coefficient, exponent), tuple((c, e * exponent) for c, e in product))

    # --- divisions and powers ---------------------------------------------------------------------------------------------

    def _quotient(self, a: Form, b: Form) -> Form:
        if a.key == b.key:
            return _ONE
        if b.number:
            return self._scaled(a, 1 / b.number)
        if b.number is None and (self.is_bold or b.range[0] > 0 or b.range[1] < 0):
            return self._mul(a, self._power(b, -1.0))
        return of_call("quotient", a, b)

    def _div(self, a: Form, b: Form) -> Form:
        low, high = b.range
        if low > -DIV_THRESHOLD and high < DIV_THRESHOLD:
            return _ONE
        if self.is_bold or low >= DIV_THRESHOLD or high <= -DIV_THRESHOLD or a.key == b.key:
            return self._quotient(a, b)
        return of_call("div", a, b)

    def _pow(self, a: Form, b: Form) -> Form:
        if b.number is not None:
            return self._power(a, b.number)
        if a.number == 1:
            return _ONE
        if a.number and a.number > 0 and b.constant:  # of a sum in the exponent, the number comes out
            outside = _constant_power(a.number, b.constant)
            return self._scaled(self._pow(a, Form(0.0, b.terms)), outside)
        return of_call("pow", a, b)

    def _pow_v1(self, a: Form, b: Form) -> Form:
        return self._pow(self._abs(a), b) if self.is_bold else of_call("pow_v1", a, b)

    def _sqrt(self, a: Form) -> Form:
        return self._power(a, 0.5) if a.range[0] >= 0 else of_call("sqrt", a)

    def _sqrt_v1(self, a: Form) -> Form:
        return self._power(self._abs(a), 0.5)

    # --- exponential and logarithm ----------------------------------------------------------------------------------------

    def _exp(self, a: Form) -> Form:
        if not self.is_bold:
            return of_call("exp", a)
        if a.call and a.call.name in ("min", "max"):  # the exponential rises
            return self._extreme(a.call.name, *(self._exp(argument) for argument in a.call.arguments))
        a = self._opened(a)
        found, rest = Form(math.exp(a.constant)), _ZERO
        for product, coefficient in a.terms:
            power = self._power_of_log(product, coefficient)
            if power is None:
                rest = self._add(rest, Form(0.0, ((product, coefficient),)))
            else:
                found = self._mul(found, power)
        return self._mul(found, of_call("exp", rest)) if rest.terms else found

    def _opened(self, a: Form) -> Form:
        """A sum with the numbers before its brackets multiplied in."""
        opened = Form(a.constant)
        for product, coefficient in a.terms:
            (call, exponent), *others = product
            if call.name == BRACKET and exponent == 1 and not others:
                opened = self._add(opened, self._opened(call.arguments[0].times(coefficient)))
            else:
                opened = self._add(opened, Form(0.0, ((product, coefficient),)))
        return opened

    def _power_of_log(self, product: Product, coefficient: float) -> Form | None:
        """exp(coefficient · log(a) · others) as a power of |a|; None if there is no logarithm."""
        log = next((call for call, exponent in product if call.name == "log" and exponent == 1), None)
        if log is None:
            return None
        base = self._abs(log.arguments[0])
        others = self._of_product(coefficient, tuple((call, e) for call, e in product if call != log))
        return self._pow(base, others)

    def _log(self, a: Form) -> Form:
        a = self._without_sign(a)
        if a.monomial is None or not self.is_bold:
            return of_call("log", a)
        coefficient, product = a.monomial
        exponents, rest = _ZERO, Form(coefficient)
        for call, e in product:
            if call.name == "exp":
                exponents = self._add(exponents, self._scaled(call.arguments[0], e))
            else:
                rest = self._mul(rest, self._of_product(1.0, ((call, e),)))
        if rest.number is not None:
            return self._add(Form(math.log(abs(rest.number))), exponents)
        if rest.monomial and len(rest.monomial[1]) == 1 and rest.monomial[1][0][1] != 1:
            (call, exponent), outside = rest.monomial[1][0], rest.monomial[0]
            power = self._scaled(of_call("log", self._of_product(1.0, ((call, 1.0),))), exponent)
            return self._add(exponents, self._add(Form(math.log(abs(outside))), power))
        return self._add(exponents, of_call("log", rest))

    def _without_sign(self, a: Form) -> Form:
        """A form of the same magnitude, as simple as can be."""
        a = _positive(a)
        if a.monomial:
            coefficient, product = a.monomial
            inner = [(c.arguments[0], e) if c.name == "abs" else (None, e) for c, e in product]
            if len(product) == 1 and (form := inner[0][0]) is not None and inner[0][1] == 1:
                return _positive(self._scaled(form, coefficient))
        return a

    # --- the other functions ----------------------------------------------------------------------------------------------

    def _abs(self, a: Form) -> Form:
        low, high = a.range
        if low >= 0:
            return a
        if high <= 0:
            return a.times(-1.0)
        if a.monomial is None:
            coefficient, product = self._as_product(_positive(a))
            inner = self._of_product(1.0, product)
            return self._scaled(of_call("abs", inner), abs(coefficient)) if inner.monomial is None else self._abs(inner)
        coefficient, product = a.monomial
        outside, inside = Form(abs(coefficient)), _ONE
        for call, e in product:
            part = self._of_product(1.0, ((call, e),))
            if call.range[0] >= 0 or e % 2 == 0:
                outside = self._mul(outside, part)
            else:
                inside = self._mul(inside, part)
        if inside.number is None and inside.range[0] < 0:
            inside = of_call("abs", inside)
        return self._mul(outside, inside)

    def _sign(self, a: Form) -> Form:
        if a.range[0] > 0 or a.range[1] < 0:
            return Form(math.copysign(1.0, a.range[0]))
        return of_call("sign", a)

    def _cos(self, a: Form) -> Form:
        return of_call("cos", _positive(a))

    def _sin(self, a: Form) -> Form:
        return self._odd("sin", a)

    def _tanh(self, a: Form) -> Form:
        return self._odd("tanh", a)

    def _odd(self, name: str, a: Form) -> Form:
        positive = _positive(a)
        return of_call(name, a) if positive is a else self._scaled(of_call(name, positive), -1.0)

    def _floor(self, a: Form) -> Form:
        return a if a.call and a.call.name == "floor" else of_call("floor", a)

    def _floor_v1(self, a: Form) -> Form:
        return self._floor(a) if self.is_bold else of_call("floor_v1", a)

    def _less(self, a: Form, b: Form) -> Form:
        if a.range[0] >= b.range[1] or a.key == b.key:
            return _ZERO
        return of_call("less", a, b)

    def _less_equal(self, a: Form, b: Form) -> Form:
        return _ONE if a.range[1] <= b.range[0] or a.key == b.key else of_call("less_equal", a, b)

    def _equal(self, a: Form, b: Form) -> Form:
        return _ONE if a.key == b.key else of_call("equal", a, b)

    def _where(self, condition: Form, a: Form, b: Form) -> Form:
        if condition.range[0] > 0 or a.key == b.key:
            return a
        if condition.range[1] <= 0:
            return b
        opposite = _opposite_truth(condition)
        return of_call("where", condition, a, b) if opposite is None else of_call("where", opposite, b, a)

    def _min(self, a: Form, b: Form) -> Form:
        return self._extreme("min", a, b)

    def _max(self, a: Form, b: Form) -> Form:
        return self._extreme("max", a, b)

    def _extreme(self, name: str, *arguments: Form) -> Form:
        """The min or max of all arguments, none of which another one hides."""
        flat: list[Form] = []
        for argument in arguments:
            call = argument.call
            flat.extend(call.arguments if call and call.name == name else [argument])
        kept: list[Form] = []
        for form in flat:
            if any(form.key == other.key or _hides(name, other, form) for other in kept):
                continue
            kept = [*(other for other in kept if not _hides(name, form, other)), form]
        kept.sort(key=lambda form: form.number is None)  # a number first, the others as they come
        return kept[0] if len(kept) == 1 else of_call(name, *kept)


def _hides(name: str, form: Form, other: Form) -> bool:
    """Whether a min or max with `form` never takes `other`."""
    return form.range[1] <= other.range[0] if name == "min" else form.range[0] >= other.range[1]


def _positive(form: Form) -> Form:
    """The form, or its negative if that begins with a positive number."""
    return form.times(-1.0) if form.coefficients and form.coefficients[0] < 0 else form


def _total(a: float, b: float) -> float:
    """The sum; 0 if it is all rounding."""
    total = a + b
    return 0.0 if abs(total) <= _ROUNDING * max(abs(a), abs(b)) else total


def _is_lost(product: Product, coefficient: float, constant: float) -> bool:
    """Whether adding the product to the constant changes nothing but its last place."""
    low, high = product_range(product)
    return abs(coefficient) * max(abs(low), abs(high)) <= _ROUNDING * abs(constant)


def _constant_power(base: float, exponent: float) -> float:
    with np.errstate(all="ignore"):
        return float(PRIMITIVES["pow"].reference(np.float64(base), np.float64(exponent)))


def _merged(a: Product, b: Product) -> Product:
    """The product of two products."""
    exponents = dict(a)
    for call, exponent in b:
        exponents[call] = exponents.get(call, 0.0) + exponent
    return tuple((call, exponent) for call, exponent in exponents.items() if exponent)


def _opposite_truth(condition: Form) -> Form | None:
    """The comparison that the condition is 1 minus, None if it is no such thing."""
    opposite = Form(1.0 - condition.constant, condition.times(-1.0).terms)
    return opposite if opposite.call and opposite.call.name in ("less", "less_equal", "equal") else None
