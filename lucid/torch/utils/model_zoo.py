"""``torch.utils.model_zoo``: a former place of ``torch.hub``."""

from lucid.torch.hub import load_state_dict_from_url as load_state_dict_from_url
from lucid.torch.hub import tqdm as tqdm

load_url = load_state_dict_from_url
