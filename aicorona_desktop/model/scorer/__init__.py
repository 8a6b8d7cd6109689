"""The scorer process: the only code that imports ONNX Runtime."""
