"""What the reprs of several layers share."""


def layout(data_format: str, default: str = "channels_first") -> str:
    """``", data_format='channels_last'"`` where it is not the layer's default, else nothing."""
    return "" if data_format == default else f", data_format={data_format!r}"
