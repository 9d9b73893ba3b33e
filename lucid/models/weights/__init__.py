"""Pretrained weights and checkpoints.

``tags`` lists the published checkpoints, ``hub`` downloads them. ``dialects`` translates parameter names between
libraries, ``foreign`` those that are only read. ``detect`` finds the networks in a checkpoint and their architecture,
``match`` assigns tensors to parameters, ``load`` and ``save`` read and write files.

``folder`` opens the folders of timm and transformers, whose configurations are in ``timm_config`` and
``transformers_config``; ``save_folder`` writes them, with the card in ``model_card``, and ``push`` uploads them.
``location`` finds the folder that a name such as ``hf-hub:user/name`` stands for.
"""
