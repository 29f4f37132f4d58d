"""How a population trains. JAX lives here; importing this package does not import it."""
