"""The ONNX model and its arithmetic."""
