"""Whole public benchmarks and the paper's comparisons, as commands."""
