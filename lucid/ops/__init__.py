"""Operations on tensors, by family. Each is one function: ``lucid.exp``, ``Tensor.exp`` and this one are the same."""
