"""The manifests as tests see them: rendered, held against schemas, and as the pods KServe makes."""
