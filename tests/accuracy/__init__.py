"""The labelled bench: drawn students, who know what they do, against what the analyzer says of them.

`python -m tests.accuracy` measures them and writes the figures into docs/accuracy.md.
"""
