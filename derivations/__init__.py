"""The mathematics of the articles: symbolic objects and the claims about them. Imports SymPy, never torch."""
