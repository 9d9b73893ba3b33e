"""The line search of L-BFGS: a step that satisfies the strong Wolfe conditions.

Source: Nocedal and Wright, Numerical Optimization, 2nd edition, algorithms 3.5 and 3.6, with cubic interpolation (3.59)
and the safeguards of minFunc, as in PyTorch: an extrapolation goes 1.01 to 10 times as far, and a point inside a
bracket stays a tenth of its length away from the ends if the search makes little progress.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import mlx.core as mx

DECREASE = 1e-4  # of the loss, relative to what the slope promises
CURVATURE = 0.9  # of the slope that may be left
SHORTEST = 1e-9  # change of a parameter


@dataclass
class Point:
    """A place on the line: loss, slope along the line, and gradient."""

    place: float
    loss: float
    slope: float
    gradient: mx.array


def strong_wolfe(
    evaluate: Callable[[float], Point], start: Point, length: float, largest: float, budget: int
) -> tuple[Point, int]:
    """The best point found and the number of evaluations.

    Args:
        evaluate: The point at a place on the line.
        start: The point at 0.
        length: The first place to try.
        largest: The largest element of the direction.
        budget: How many iterations may follow the first evaluation.
    """

    def is_too_high(point: Point) -> bool:
        return point.loss > start.loss + DECREASE * point.place * start.slope

    def is_flat(point: Point) -> bool:
        return abs(point.slope) <= -CURVATURE * start.slope

    # Go on until two points enclose a minimum.
    before, point, used, rounds = start, evaluate(length), 1, 0
    ends: list[Point] | None = None
    while rounds < budget:
        if is_too_high(point) or (rounds > 1 and point.loss >= before.loss):
            ends = [before, point]
            break
        if is_flat(point):
            return point, used
        if point.slope >= 0:
            ends = [before, point]
            break
        nearest = point.place + 0.01 * (point.place - before.place)
        place = _minimum_of_cubic(before, point, nearest, 10 * point.place)
        before, point = point, evaluate(place)
        used, rounds = used + 1, rounds + 1
    if ends is None:
        return (start if start.loss <= point.loss else point), used

    # Make the bracket smaller.
    low, high = (0, 1) if ends[0].loss <= ends[1].loss else (1, 0)
    is_slow = False
    while rounds < budget:
        left, right = sorted(one.place for one in ends)
        if (right - left) * largest < SHORTEST:
            break
        place = _minimum_of_cubic(ends[0], ends[1])
        margin = 0.1 * (right - left)
        if min(right - place, place - left) < margin:
            if is_slow or place >= right or place <= left:
                place = right - margin if abs(place - right) < abs(place - left) else left + margin
                is_slow = False
            else:
                is_slow = True
        else:
            is_slow = False
        point = evaluate(place)
        used, rounds = used + 1, rounds + 1
        if is_too_high(point) or point.loss >= ends[low].loss:
            ends[high] = point
            low, high = (0, 1) if ends[0].loss <= ends[1].loss else (1, 0)
            continue
        is_done = is_flat(point)
        if not is_done and point.slope * (ends[high].place - ends[low].place) >= 0:
            ends[high] = ends[low]
        ends[low] = point
        if is_done:
            break
    return ends[low], used


def _minimum_of_cubic(a: Point, b: Point, least: float | None = None, most: float | None = None) -> float:
    """Where the cubic through both points with their slopes is lowest, between ``least`` and ``most``."""
    if a.place > b.place:
        a, b = b, a
    least, most = a.place if least is None else least, b.place if most is None else most
    try:
        mean = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.place - b.place)
        root = math.sqrt(mean * mean - a.slope * b.slope)
        place = b.place - (b.place - a.place) * ((b.slope + root - mean) / (b.slope - a.slope + 2 * root))
    except (ValueError, ZeroDivisionError):  # there is no minimum
        return (least + most) / 2
    return min(max(place, least), most)
