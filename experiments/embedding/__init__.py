"""Embeddings: a table against one-hot codes, what training and pretraining put into it, and what it is used for."""
