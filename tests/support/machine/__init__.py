"""The machine under the tests: disks, containers, CPUs, kills, skips, and the documentation.

Its modules may import the benchmarks' pods and the stub servers; they know nothing of models.
"""
