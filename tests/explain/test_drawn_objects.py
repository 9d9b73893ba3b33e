"""Grad-CAM of a trained network lies on the object that decides."""

from tests.explain import drawn_objects


def test_the_map_lies_on_the_object():
    right, top, mass = drawn_objects.located(drawn_objects.train(steps=80))
    # 100, 100 and 100 on Linux; ten seeds give at least 100, 97 and 93. The object covers a tenth of the picture.
    assert right >= 95 and top >= 90 and mass >= 80
