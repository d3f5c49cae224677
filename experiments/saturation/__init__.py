"""Why the sigmoid saturates: its range in real and floating-point numbers, its limits, its derivative, what gets through."""
