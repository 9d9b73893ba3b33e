"""Pretrained weights and checkpoints.

``tags`` lists the published checkpoints, ``hub`` downloads them. ``dialects`` translates parameter names between
libraries, ``foreign`` those that are only read. ``detect`` finds the networks in a checkpoint and their architecture,
``match`` assigns tensors to parameters, ``load`` and ``save`` read and write files.
"""
