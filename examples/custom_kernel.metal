// SwiGLU, y = silu(gate) * value with silu(a) = a * sigmoid(a), and its gradient, element by element.
// Source: Shazeer 2020, arXiv:2002.05202.
//
// The text is the header of the kernels in custom_kernel.py; each kernel's body is one call of a function below. Pointer
// types are template parameters, because MLX puts inputs of fewer than 8 elements into the address space `constant` and
// all others into `device`. T is the type of all arrays; everything is computed in float.

// y[i] = gate[i] * sigmoid(gate[i]) * value[i]
// thread: one element; the grid has exactly as many threads as elements, so nothing is read outside.
// cost: 2 loads, 1 store
template <typename T, typename Gate, typename Value, typename Y>
inline void swiglu_forward(Gate gate, Value value, Y y, uint i) {
  const float a = float(gate[i]);
  const float sigmoid = 1.0f / (1.0f + metal::exp(-a));
  y[i] = T(a * sigmoid * float(value[i]));
}

// d_gate[i]  = d_y[i] * value[i] * sigmoid * (1 + gate[i] * (1 - sigmoid))
// d_value[i] = d_y[i] * gate[i] * sigmoid
// thread: one element, as above; both gradients from one read of the inputs.
// cost: 3 loads, 2 stores
template <typename T, typename Gate, typename Value, typename Dy, typename DGate, typename DValue>
inline void swiglu_backward(Gate gate, Value value, Dy d_y, DGate d_gate, DValue d_value, uint i) {
  const float a = float(gate[i]);
  const float sigmoid = 1.0f / (1.0f + metal::exp(-a));
  const float d = float(d_y[i]);
  d_gate[i] = T(d * float(value[i]) * sigmoid * (1.0f + a * (1.0f - sigmoid)));
  d_value[i] = T(d * a * sigmoid);
}
