"""Formulas to mutate: what papers, scripts and evolr itself write, and random ones."""

from __future__ import annotations

import math
from pathlib import Path
from random import Random

from evolr.expression import PRIMITIVES, SIGNALS, Expression, ordinary_text, original_text
from evolr.standard import FAMILIES

TYPED = (
    "(((epoch mul -0.001537) mul -0.75568) sub -0.001537)",
    "0.5*(1 + math.cos(math.pi*progress))",
    "0.1**(epoch // 30)",
    "0.1*0.5**floor((1 + epoch)/10)",
    "0.05*(512**-0.5*min(step**-0.5, step*4000**-1.5))",
    "0.1*(1 - step/total_steps)^2",
    "max(0.0, 0.5*(1 + math.cos(math.pi*progress)))",
    "0.1 + 0.9*(epoch/5) if epoch < 5 else 1.0",
    "0.1 if epoch < 30 else 0.01 if epoch < 60 else 0.001",
    "min(1, progress/0.1, (1 - progress)/0.3)",
    "0.1*abs(1 - 2*progress)",
    "1e-3 * min(1, step/500) * (1 - step/total_steps)",
    "0.001*loss/loss_ema",
    "0.01*np.exp(-3.5*progress)",
    "lr*0.1 if stale_epochs > 10 and epoch_progress == 0 else lr",
    "lr if step > 0 else 0.1",
    "1e-4 + (0.1 - 1e-4)*(1 + np.cos(np.pi*(epoch % 10)/10))/2",
    "0.1*(0.1 if epoch >= 100 else 1)*(0.1 if epoch >= 150 else 1)",
    "1/(1 + 0.1*epoch)",
    "torch.clamp(val_loss/loss, 0.01, 1)",
    "np.where(epoch - 3, 1, 2)",
    "jnp.minimum(1.0, jnp.sqrt(100/(1 + step)))",
    "0.1*(epoch < 5 or loss > 2) + 0.01*(not (epoch < 5 or loss > 2))",
    "not epoch < 5 and not loss >= 1 or val_loss != 3",
    "int(epoch/7) + ceil(loss) - round(2*val_loss) + sign(loss - 1)",
    "log2(1 + step) + log10(1 + step) + math.log(1 + step)",
    "1_000*1e-5*sigmoid(loss - 2)*square(progress)",
    "3·epoch − 1 ≥ 5 × loss ÷ 2",
    "2**-3**2 - -2**2 + (-2)**3 - +-+1",
    "-epoch % 3 + epoch % -3 - epoch // -4 + -epoch//4",
    "exp(-80) + 1e-320*tanh(loss) - pi*e",
    "((1 if loss < 2 else 0) if epoch < 3 else (2 if loss > 1 else 3)) + 1",
    "max(min(loss, val_loss, 1), epoch, 2, step)",
    "where(200 - step, 0, 0.001)",
    "add(epoch, mul(loss, div(1, quotient(2, mod(step, 7)))))",
    "less(epoch, 5) + equal(epoch, 5) + floor_v1(loss) + sqrt_v1(-loss) + pow_v1(loss, 2)",
    "1 if epoch == 5 else 0 if epoch != 7 else -0.0",
    "0.1*(epoch<=3)+0.2*(3<epoch)*(epoch<=6)",
)

SIGNS = ("+", "-", "*", "/", "//", "%", "**", "^", "<", "<=", ">", ">=", "==", "!=", "and", "or", "if", "else", "not",
         "·", "×", "÷", "−", "≤", "≥", "≠", ",", "(", ")", "add", "sub", "mul", "div", "quotient", "mod", "is", "in",
         "&&", "||", "!", "=", "?", ":", ";", "[", "]", "{", "}", "@", "lambda", "~", "<<", ":=", ".", "..", "&", "|")  # fmt: skip
NAMES = (*SIGNALS, *PRIMITIVES, "pi", "e", "π", "int", "float", "ceil", "log2", "log10", "sigmoid", "square", "clip",
         "clamp", "np.exp", "math.sqrt", "torch.where", "np.where", "fabs", "trunc", "os.system", "__import__", "nan",
         "inf", "True", "None", "epochs", "t", "np", "math.", ".exp", "math.epoch", "eval", "é", "ｅ", "²", "x" * 300)  # fmt: skip
NUMBERS = ("0", "1", "2", "0.5", "-0.0", "-0", "1e308", "-1e308", "1.7976931348623157e308", "1e-400", "5e-324", "1e400",
           "1_000", "1__0", "1_", "_1", "0.1_5e1_0", "1e-3", "1E+5", ".5", "5.", "00012", "0x1F", "1j", "1e", "1e+", "1.2.3",
           "9007199254740993", "1e16", "1e22", "123456789012345678901234567890", "0.1", "0.30000000000000004", "1e-7",
           "1" * 400, "0." + "0" * 400 + "1", "1e99999", "1e-99999", "3e38", "1e-45", "٣", "１")  # fmt: skip


def formulas() -> list[str]:
    """Typed ones, published schedules (of tests/contracts/published, their constants put in), families in both notations."""
    published = Path(__file__).with_name("published.txt").read_text(encoding="utf-8").splitlines()
    families = [family.schedule().expression for family in FAMILIES.values()]
    return [*TYPED, *published, *(write(e) for e in families for write in (ordinary_text, original_text))]


def constant(rng: Random) -> float:
    """Plain numbers mostly, and everything that a float can be but for what is not finite."""
    match rng.randrange(8):
        case 0:
            return rng.choice((0.0, -0.0, 1.0, -1.0, 2.0, 0.5, math.pi, 10.0, 1e308, -1e308, 5e-324, 1e-7, 1e16, 1e22))
        case 1:
            return rng.choice((-1, 1)) * rng.random() * 10.0 ** rng.randint(-320, 307)
        case 2 | 3:
            return float(rng.randint(-20, 100))
        case _:
            return round(rng.uniform(-3, 3), rng.randint(0, 17))


def expression(rng: Random, size: int) -> Expression:
    """A random tree of about `size` nodes, over all primitives and signals."""
    names, signals = list(PRIMITIVES), list(SIGNALS)
    tokens: list[str | float] = []
    wanted = [size]
    while wanted:
        mine = wanted.pop() - 1
        able = [name for name in names if PRIMITIVES[name].arity <= mine]
        if not able or rng.random() < 0.05:
            tokens.append(rng.choice(signals) if rng.random() < 0.5 else constant(rng))
            continue
        name = rng.choice(able)
        tokens.append(name)
        cuts = sorted(rng.randint(0, mine) for _ in range(PRIMITIVES[name].arity - 1))
        wanted += [max(1, b - a) for a, b in zip([0, *cuts], [*cuts, mine], strict=True)]
    return Expression(tuple(tokens))
