"""The registry's data, read by `kexue.registry`."""
