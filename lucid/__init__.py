"""Lucid: PyTorch's words on MLX's engine."""
