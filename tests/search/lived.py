"""Searches that are told their fitness by a function, without a training."""

from evolr.search.individual import Evaluation
from evolr.search.method import method_of


def lived(search, generations, seed, judge):
    """The method after some generations, and its populations with their evaluations."""
    method, history = method_of(search, seed), []
    for _ in range(generations):
        population = method.population()
        evaluations = [Evaluation(i, judge(i), judge(i)) for i in population]
        method.learn(evaluations)
        history.append((population, evaluations))
    return method, history


def recalled(method, history):
    """The method, told again what another one of its kind has lived."""
    for population, evaluations in history:
        method.recall(population)
        method.learn(evaluations)
    return method
