"""The proof: real stations, really damaged, and what came of it.

`python -m tests.prove` runs every scenario for some minutes; `python -m tests.prove kills:200`
runs one of them as often as told. Each scenario is a file in `scenarios`, see `scenario.py`.
"""
