"""The decision procedures that the statement kinds call: flint normal forms, Arb, SMT solvers, rewriting."""
