"""``torch.utils``."""

from lucid.torch.utils import _pytree, checkpoint, data, hooks, model_zoo, tensorboard
