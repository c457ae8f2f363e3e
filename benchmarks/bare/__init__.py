"""ONNX Runtime with no server around it: what there is to reach, each run a fresh process."""
