"""What ``lucid bench`` does, and what the scripts in ``examples/benchmarks`` share.

``run.py`` is the whole in order: ``accuracy.py`` compares every kernel with its reference, ``depthwise.py`` times the
depthwise convolution beside a copy, ``frameworks.py`` trains the same ConvNeXt in several libraries, and ``page.py``
writes the results as HTML.
"""
