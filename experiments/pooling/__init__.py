"""Pooling: what each kind computes, what it saves, what it keeps, and what it does to generalisation and to shifts."""
