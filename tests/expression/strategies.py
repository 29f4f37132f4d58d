"""Hypothesis strategies for the expression core."""

from hypothesis import strategies as st

from evolr.expression import PRIMITIVES, SIGNALS, Expression

constants = st.floats(allow_nan=False, allow_infinity=False)
leaves = st.one_of(constants, st.sampled_from(sorted(SIGNALS))).map(lambda token: (token,))


def _extended(children):
    def node(primitive):
        parts = st.tuples(*[children] * primitive.arity)
        return parts.map(lambda trees: (primitive.name, *(token for tree in trees for token in tree)))

    return st.sampled_from(list(PRIMITIVES.values())).flatmap(node)


expressions = st.recursive(leaves, _extended, max_leaves=20).map(Expression)
