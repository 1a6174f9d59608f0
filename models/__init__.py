"""The architectures of the articles in torch, importable for training. Imports torch, never SymPy."""
