"""The model-prep pipeline: a Hugging Face model becomes a prepared model in a store."""

# The image a cluster runs the components in; `compile --image` names another.
IMAGE = "warmstart/pipeline:0.1.0"
