"""Translation invariance: what moves and what stays when the input is shifted, and what networks make of it."""
