"""Training any model of `kexue.models`: it asks a model only for its loss. Built on Lightning."""
