"""Formulas for people: a schedule's learning rate in short, and where that is not the same."""

from evolr.simplification.choice import Simplified, simplified

__all__ = ["Simplified", "simplified"]
