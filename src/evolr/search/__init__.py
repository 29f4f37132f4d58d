"""How schedules evolve: pure functions of a configuration and a history. It knows no training."""
