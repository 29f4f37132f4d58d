"""ExpressionLR sees the network in compiled training steps too.

The back end is `eager`: it traces as all others do, and needs no compiler.
"""

import numpy as np
import pytest
import torch
from torch import nn

from evolr.expression import parse
from evolr.schedule import Schedule
from evolr.torch import ExpressionLR

STEPS = 12
RULE = Schedule(
    expression=parse("0.01*grad_norm_ema*(2 + alignment)/(grad_norm_rss + 0.1*update_norm)*weight_norm + 0*distance")
)
CLOCK = Schedule(expression=parse("0.01*(1 - progress)"))
MAKERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "adam of a tensor": lambda p: torch.optim.Adam(p, lr=torch.tensor(0.1)),
    "fused adam": lambda p: torch.optim.Adam(p, lr=0.1, fused=True),
    "fused sgd": lambda p: torch.optim.SGD(p, lr=0.1, fused=True),
}


def trained(make, compiled, rule=RULE):
    """The learning rates of a training of which a part is compiled."""
    torch._dynamo.reset()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = make(model.parameters())
    scheduler = ExpressionLR(optimizer, rule, total_steps=STEPS, steps_per_epoch=4)
    rates = []

    def whole(inputs):
        optimizer.zero_grad()
        (model(inputs) - 1).square().mean().backward()
        optimizer.step()

    def stepped():
        optimizer.step()
        scheduler.step()

    step = torch.compile(whole, backend="eager") if compiled == "the whole step" else whole
    parts = {
        "the model": (torch.compile(model, backend="eager"), optimizer.step, scheduler.step),
        "the optimiser's step": (model, torch.compile(optimizer.step, backend="eager"), scheduler.step),
        "both steps": (model, torch.compile(stepped, backend="eager"), lambda: None),
    }
    for number in range(STEPS):
        torch.manual_seed(number)
        inputs = torch.randn(8, 4)
        if compiled in parts:
            forward, move, after = parts[compiled]
            optimizer.zero_grad()
            (forward(inputs) - 1).square().mean().backward()
            move()
            after()
        else:
            step(inputs)
            scheduler.step()
        rates.append(float(optimizer.param_groups[0]["lr"]))
    return rates


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, as it traces
@pytest.mark.parametrize("compiled", ["the whole step", "the model", "the optimiser's step", "both steps"])
@pytest.mark.parametrize("make", MAKERS)
def test_a_compiled_training_has_the_learning_rates_of_one_that_is_not(make, compiled):
    expected = trained(MAKERS[make], None)
    assert len(set(expected)) > STEPS / 2
    np.testing.assert_allclose(trained(MAKERS[make], compiled), expected, rtol=1e-4)  # the traced step rounds elsewhere


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("rule", [RULE, CLOCK], ids=["it reads the network", "it reads the clock"])
def test_the_optimisers_step_is_still_compiled_and_no_oftener_than_with_torchs_own(rule):
    def graphs(make_scheduler):
        torch._dynamo.reset()
        found = []

        def kept(graph, _):
            found.append(graph)
            return graph.forward

        parameters = [nn.Parameter(torch.ones(3)) for _ in range(2)]
        optimizer = torch.optim.Adam(parameters, lr=torch.tensor(0.1))
        scheduler = make_scheduler(optimizer)
        step = torch.compile(optimizer.step, backend=kept)
        for number in range(STEPS):
            for parameter in parameters:
                parameter.grad = torch.full((3,), 1.0 + number)
            step()
            scheduler.step()
        return len(found)

    ours = graphs(lambda optimizer: ExpressionLR(optimizer, rule, total_steps=99, steps_per_epoch=9))
    assert 1 <= ours == graphs(lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9))
