"""Trained weights as what is served: the ONNX graph and the model card."""
