"""What a user asks for: the recipe with its limits, evaluation data and lists of models.

This room reads and checks what people write, and names every mistake with its place. It imports
storage_init and nothing else of the pipeline. It never knows folders of a preparation, graphs or
torch. The field names, their order and their defaults decide a recipe's digest, and with it the
key of a prepared model.
"""
