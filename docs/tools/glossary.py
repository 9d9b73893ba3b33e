"""What parameters mean that many functions share, for the tables of the reference where a docstring does not say."""

_TEXT = """
x: The input.
input: The input.
other: The second operand, a tensor or a number.
dim: The dimension; reductions also take a tuple of dimensions, or ``None`` for all.
axis: NumPy's name for ``dim``.
dims: The dimensions.
keepdim: Keep the reduced dimensions with size 1.
keepdims: NumPy's name for ``keepdim``.
dtype: The dtype of the result.
device: Accepted for compatibility with PyTorch; memory is unified.
requires_grad: Whether to compute gradients for the result.
num_classes: The number of classes.
kwargs: Options that are passed on.
args: Arguments that are passed on.
pretrained: Load the default checkpoint, or the one that a string names.
tensor: The tensor, which is changed in place.
tensors: The tensors.
tensor1: The first factor, or the numerator.
tensor2: The second factor, or the denominator.
weight: The weight, see the shapes above.
bias: The bias, or ``None`` for none.
size: The shape of the result.
images: Images (N, C, H, W).
labels: Class indices (N,), or probabilities (N, num_classes).
alpha: A factor, see the formula above.
beta: A factor, see the formula above.
data_format: "channels_first" or "channels_last", for inputs and outputs.
index: Indices along ``dim``.
indices: The indices.
target: The target: values of the shape of the input, or class indices (N, ...).
reduction: "mean", "sum", or "none" for no reduction.
value: The value, see the formula above.
eps: Added for numerical stability.
p: The probability; for norms, the exponent.
mode: The mode.
path: The file or folder.
seed: The seed, an integer.
mean: The mean, or one per channel.
std: The standard deviation, or one per channel.
dilation: Distance between the elements of the kernel.
groups: Number of groups of channels that are convolved separately.
key: The random key, see ``lucid.random.key``.
start: The first value, or the first index.
end: The last value, or the end of the interval.
step: The distance between values.
steps: The number of values.
base: The base of the powers.
source: The values to write; for ``moveaxis``, the positions now.
destination: The new positions.
unbiased: Divide by n - 1 instead of n.
correction: The number that is subtracted from n in the divisor.
training: Whether to behave as in training.
stride: Step of the kernel.
padding: Padding on each side.
output_padding: Size added to one side of the output.
kernel_size: Size of the window, an integer or a pair (height, width).
a: The lower bound; for Kaiming initialization, the slope of the leaky ReLU.
b: The upper bound.
parameters: The parameters, or a single one.
label_smoothing: The weight of the uniform distribution that is mixed into the targets.
name: The name.
names: The names of the settings.
data: Numbers in any nesting, a NumPy or MLX array, or a tensor.
array: The NumPy array.
mat: The matrix.
mat1: The first matrix.
mat2: The second matrix.
batch1: The first batch of matrices (N, A, B).
batch2: The second batch of matrices (N, B, C).
vec: The vector.
vec2: The second vector.
diagonal: The diagonal: 0 is the main one, positive ones lie above.
offset: The diagonal: 0 is the main one, positive ones lie above.
n: The number of rows, or of elements.
m: The number of columns.
k: The number or rank of elements; for ``rot90``, the number of rotations.
src: The values to write; in ``distributed``, the rank that sends.
model: The model.
nonlinearity: The name of the function that follows, such as "relu".
gain: A factor on the standard deviation or the bounds.
inputs: The inputs.
outputs: The outputs to differentiate.
function: The function to decorate.
func: The function to check.
rtol: The relative tolerance.
atol: The absolute tolerance.
equal_nan: Whether NaN equals NaN.
descending: Sort from the largest value.
stable: Accepted for compatibility with PyTorch; sorting is always stable.
dim0: The first dimension.
dim1: The first dimension; for ``swapaxes``, the second.
dim2: The second dimension.
fill_value: The value of all elements.
mask: Booleans that broadcast with the input.
low: The lower bound, included.
high: The upper bound, not included.
repeats: How often to repeat.
shape: The new shape; -1 stands for what is left.
sizes: The sizes; one may be -1.
sizes_: The new shape; -1 keeps a size.
values: The values.
sorted: Whether the result is sorted.
norm_type: The exponent of the norm; ``inf`` is the maximum.
fill: Value of pixels from outside the image, a number or one per channel.
batch_size: Samples per batch.
dataset: The dataset.
num_replicas: The number of processes, by default that of the group.
rank: The number of this process, by default its rank in the group.
shuffle: Draw a new random order in each epoch.
drop_last: Drop what does not fill a batch, or cannot be shared evenly.
state: The random state, as from ``get_state``.
ord: The exponent or kind of the norm.
max_bytes: The new limit in bytes.
as_tuple: One tensor per dimension instead of a matrix.
weights: The weight of each element.
minlength: The smallest length of the result.
chunks: The number of parts.
min: The lower bound, or ``None``.
max: The upper bound, or ``None``.
rounding_mode: ``None``, "trunc" (towards zero) or "floor".
equation: The subscripts, such as ``"ij,jk->ik"``.
operands: The tensors.
start_dim: The first dimension to merge.
end_dim: The last dimension to merge.
device_type: Accepted for compatibility with PyTorch.
indexing: "ij" for matrix order or "xy" for coordinates.
num_samples: The number of draws.
replacement: Draw with replacement.
nan: The replacement of NaN.
posinf: The replacement of infinity, by default the largest number.
neginf: The replacement of minus infinity, by default the smallest number.
length: The number of elements.
exponent: The exponent, a tensor or a number.
shifts: The shift along each dimension.
decimals: The number of decimals.
reduce: ``None`` to overwrite, "add" or "multiply".
sorted_sequence: The sorted numbers.
right: Return the position after equal values.
split_size: The size of a part, or a list of sizes.
largest: Select the largest values, otherwise the smallest.
condition: Booleans that broadcast.
output_size: The size of the result, an integer or a pair (height, width).
running_mean: The running mean (C,).
running_var: The running variance (C,).
pos_weight: A factor for the loss of positive targets.
drop_prob: The probability of dropping a sample.
scale_by_keep: Scale the samples that remain, to keep the mean.
padding_idx: A row that gets no gradient.
approximate: "none" or "tanh".
num_groups: The number of groups of channels.
min_val: The lower bound.
max_val: The upper bound.
delta: The error at which the loss becomes linear.
recompute_scale_factor: Whether to compute the positions from the rounded output size.
antialias: Whether to blur when reducing the size.
negative_slope: Slope for negative inputs.
ignore_index: Targets with this class index are ignored.
normalized_shape: The sizes of the dimensions to normalize.
threshold: The function is linear above this.
val: The value.
max_norm: The largest norm.
clip_value: The largest absolute value.
foreach: Accepted for compatibility with PyTorch; without effect.
state_dict: What ``state_dict()`` returned.
metadata: The metadata of the file.
tag: The checkpoint.
samples: The samples of a batch.
targets: The class index of each sample.
fraction: The fraction of the second part, in (0, 1).
brightness_factor: The factor; 1 changes nothing.
contrast_factor: The factor; 1 changes nothing.
saturation_factor: The factor; 1 changes nothing.
sharpness_factor: The factor; 1 changes nothing.
hue_factor: The shift as a fraction of the color circle, in [-0.5, 0.5].
top: The first row.
left: The first column.
height: The number of rows.
width: The number of columns.
max_value: The pixel value that counts as 1.
config: timm's description, such as "rand-m9-mstd0.5-inc1".
padding_mode: "constant", "edge", "reflect" or "symmetric".
num_magnitude_bins: Number of strengths to choose from.
interpolation: "nearest" or "bilinear".
recipe: The recipe.
crops: Padding of random crops in px.
class_names: The names of the classes.
preprocessing: The transform from images to inputs.
more: Further entries.
message: The message.
grad_tensors: The gradient of each tensor; may be omitted for scalars.
retain_graph: Keep the graph for another backward pass.
create_graph: Record the backward pass, for gradients of gradients.
tensor_list: A list that receives the tensors.
metrics: The metrics.
dialect: The library whose names the file gets.
caller: The function that errors name.
epoch: The number of the epoch, counted from 0.
param_group: A dictionary with "params" and the options that differ from the defaults.
closure: A function that computes the loss again and returns it.
set_to_none: Drop the gradients instead of setting them to zero.
modules: The modules.
module: The module.
embeddings: The table (num_embeddings, embedding_dim).
freeze: Whether the table stays as it is in training.
non_blocking: Accepted for compatibility with PyTorch; without effect.
param: The parameter, or ``None``.
memo: Modules that were already visited.
prefix: A prefix of the names.
recurse: Whether to include the descendants.
remove_duplicate: Whether to yield a shared object only once.
fn: The function, called with each module.
hook: The function to call.
prepend: Call this hook before those that are registered already.
trainable_only: Count only what requires gradients.
loss: The mean loss.
confusion: The confusion matrix (C, C).
mistakes: The most confident mistakes.
resume: "auto" for the newest checkpoint in the folder, if any, or the path of one.
overwrite: Start again where the folder has an unfinished run.
text: JSON, as from ``to_json``.
trainer: The trainer.
state_spec: The shape and dtype of each sum by name.
preds: Logits (N, C) or class indices (N,).
pre_logits: Return the input of the classifier.
global_pool: The pooling, see the constructor; ``None`` keeps it.
prune_norm: Whether to drop the final norm.
prune_head: Whether to drop the classifier.
enable: Whether to recompute.
every: "block" or "stage": what is recomputed as one.
image: A Pillow image or an array (H, W, 3).
top1: Accuracy in percent.
image_size: Size of the images in px.
idx: A layer, a list of layers, or ``None`` for the selected ones.
keys: The keys to keep, or ``None`` for all.
rng: The NumPy generator to draw from.
directory: The folder of the class folders.
num_threads: The number of threads, by default that of the cores.
ctx: The context, which passes values to ``backward``.
gradients: The gradient of each output.
needs_input_grad: Which inputs need a gradient.
written: When it was written.
optimizer: The optimizer.
new_scale: The new scale; by default the scale adapts.
"""

TEXT = dict(line.split(": ", 1) for line in _TEXT.strip().splitlines())
