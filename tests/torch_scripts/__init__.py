"""Programs written for PyTorch, which tests/torch/test_scripts.py runs with ``python -m lucid.torch``."""
