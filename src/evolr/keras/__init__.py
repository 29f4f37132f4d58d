"""A schedule in Keras 3, on any of its backends: a LearningRateSchedule, or a callback that listens to the loss.

    optimizer = keras.optimizers.Adam(ExpressionSchedule(champion, total_steps=3000))

A schedule that reads the training hears it as a callback:

    feedback = ExpressionCallback(champion, total_steps=3000, steps_per_epoch=100, loss=2.3, val_loss=2.3)
    model.fit(x, y, validation_data=(x_val, y_val), epochs=30, callbacks=[feedback])

One that reads gradients, updates or weights sees them through an optimiser around the model's own:

    model.compile(ObservedOptimizer(keras.optimizers.Adam(0.001), champion.signals), ...)
"""

from evolr.errors import MissingExtraError

try:
    from evolr.keras.callback import ExpressionCallback
    from evolr.keras.observed import ObservedOptimizer
    from evolr.keras.schedule import ExpressionSchedule, RatesSchedule
except ModuleNotFoundError as error:
    if error.name == "keras":
        raise MissingExtraError("evolr.keras", "keras") from error
    if error.name not in ("tensorflow", "jax", "torch", "openvino"):
        raise
    remedy = f"install {error.name}, or name another backend, KERAS_BACKEND=jax"
    raise MissingExtraError("Keras", "keras", remedy) from error

__all__ = ["ExpressionCallback", "ExpressionSchedule", "ObservedOptimizer", "RatesSchedule"]
