"""How far each variant's answers are from the baseline, the original model's own answers.

This room runs the original model and the variants on the same texts, compares their answers, checks
the recipe's limits, times the variants and searches for the nodes that 8 bits damage most. It
imports graphs, workspace, recipe and storage_init. It never knows steps, reports or the store, and
imports torch and transformers only to run an original in PyTorch.
"""
