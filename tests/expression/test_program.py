import numpy as np

from evolr.expression import parse
from evolr.expression.program import OPCODES, SIGNAL, capacity_for, pack, stack_depth


def test_a_program_is_its_tokens_last_to_first():
    programs = pack([parse("epoch - 2")])
    assert programs.opcodes[0, :3].tolist() == [0, SIGNAL, OPCODES["sub"]]
    assert programs.constants[0, 0] == 2
    assert programs.lengths.tolist() == [3]


def test_programs_of_one_generation_and_the_next_have_one_shape():
    assert pack([parse("1")]).opcodes.shape == pack([parse("+".join(["1"] * 32))]).opcodes.shape == (1, 64)
    assert [capacity_for(n) for n in (1, 64, 65, 128, 129)] == [64, 64, 128, 128, 256]


def test_stack_depth_is_what_the_deepest_moment_holds():
    assert stack_depth(parse("1")) == 1
    assert stack_depth(parse("1 + 2")) == 2
    assert stack_depth(parse("1 + (2 + (3 + 4))")) == 2
    assert stack_depth(parse("((1 + 2) + 3) + 4")) == 4


def test_a_constant_beyond_float32_becomes_its_limit():
    constants = pack([parse("1e300"), parse("-1e300")]).constants[:, 0]
    assert np.isfinite(constants).all()
    assert constants[0] == -constants[1] == np.finfo(np.float32).max
