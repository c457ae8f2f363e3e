"""The self-test texts of a recipe that names none."""

from __future__ import annotations

# Short and long, plain and odd: lengths and character classes exercise different paths of the
# tokenizer and the graph.
DEFAULT_TEXTS = (
    "Great!",
    "I would not watch this film again.",
    "The battery lasts two days, and the screen is easy to read in full sunlight.",
    "Delivery took three weeks and nobody answered my e-mails about order #4711.",
    "Ça marche très bien — merci beaucoup! 😀",
    "What is the capital of the country that borders both France and Portugal?",
    "The committee approved the budget on Tuesday after a debate that lasted well into the "
    "night, although several members had asked for the vote to be postponed until the auditors "
    "could explain why the figures for the last two quarters did not add up.",
    "def add(a, b): return a + b  # 2 + 2 = 4",
)
