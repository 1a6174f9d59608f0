"""The floating-point witnesses: experiments against the exact results, and torch code against the symbolic objects."""
