"""``torch.backends.cpu``."""


def get_cpu_capability() -> str:
    """ "DEFAULT": MLX does not say which instructions it uses."""
    return "DEFAULT"
