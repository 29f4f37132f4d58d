"""A schedule in PyTorch: a learning-rate scheduler like torch's own, that may listen to the loss.

    scheduler = ExpressionLR(optimizer, evolr.Schedule.load("champion.json"), total_steps=3000, steps_per_epoch=100)
    for inputs, targets in batches:
        ...
        optimizer.step()
        scheduler.step()

Where the formula reads the loss, it is `scheduler.step(loss=loss)`.
"""

from evolr.errors import MissingExtraError

try:
    from evolr.torch.scheduler import ExpressionLR, lr_lambda
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise MissingExtraError("evolr.torch", "torch") from error

__all__ = ["ExpressionLR", "lr_lambda"]
