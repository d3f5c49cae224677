"""How often the diagnosis is right: models to judge it by, and its rates."""
