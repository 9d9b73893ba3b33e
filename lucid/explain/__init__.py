"""Show what a classifier looks at: heat maps of the evidence for a class.

::

    from lucid import data, explain, models

    model = models.from_checkpoint("runs/photos")
    photo = data.open_image("cat.jpg")
    [heat] = explain.grad_cam(model, model.preprocessing([photo]))  # (H, W), of the most probable class
    explain.overlay(model.preprocessing.crop(photo), heat).save("cat-heat.png")

``grad_cam`` takes one forward pass and the gradients of the layers behind the feature map; ``occlusion`` takes a
forward pass for each position of a window and needs no gradients. Both show where the evidence of the model lies, not
whether the model is right.
"""

from lucid.explain._grad_cam import grad_cam
from lucid.explain._occlusion import occlusion
from lucid.explain._overlay import overlay

__all__ = ["grad_cam", "occlusion", "overlay"]
