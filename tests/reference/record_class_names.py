"""Record ImageNet's class names in the order of the checkpoints, and the indices of the 1000 classes among them.

    pip install timm && python -m tests.reference.record_class_names

Needs neither Lucid nor a network. All checkpoints with 21,841 classes share one order, that of the folders of
ImageNet's release of fall 2011, sorted by their WordNet IDs: the authors trained on them with ``ImageFolder``, and
timm and transformers renamed the authors' tensors, rows untouched. Where transformers takes its labels from Google's
longer list, it leaves out indices 9205 and 15027; the rest is the same list.
"""

import json
from collections import Counter
from pathlib import Path

import timm
from timm.data import ImageNetInfo, infer_imagenet_subset
from timm.models import convnext

NAMES = Path(__file__).parents[2] / "lucid" / "models" / "imagenet_22k.txt"
POSITIONS = Path(__file__).with_name("class_names.json")
_NOT_IN_22K = (9205, 15027)  # in Google's list

# The licence must appear on all copies.
HEADER = """\
# The 21,841 classes of ImageNet-22k in the order of their indices, one per line. * marks the classes of ImageNet-12k,
# whose indices have the same order.
# Source: tests/reference/record_class_names.py, from timm.data.ImageNetInfo (Apache-2.0), which has them from WordNet
# 3.0:
#
# This software and database is being provided to you, the LICENSEE, by Princeton University under the following
# license. By obtaining, using and/or copying this software and database, you agree that you have read, understood,
# and will comply with these terms and conditions.:
#
# Permission to use, copy, modify and distribute this software and database and its documentation for any purpose and
# without fee or royalty is hereby granted, provided that you agree to comply with the following copyright notice and
# statements, including the disclaimer, and that the same appear on ALL copies of the software, database and
# documentation, including modifications that you make for internal use or for distribution.
#
# WordNet 3.0 Copyright 2006 by Princeton University. All rights reserved.
#
# THIS SOFTWARE AND DATABASE IS PROVIDED "AS IS" AND PRINCETON UNIVERSITY MAKES NO REPRESENTATIONS OR WARRANTIES,
# EXPRESS OR IMPLIED. BY WAY OF EXAMPLE, BUT NOT LIMITATION, PRINCETON UNIVERSITY MAKES NO REPRESENTATIONS OR
# WARRANTIES OF MERCHANTABILITY OR FITNESS FOR ANY PARTICULAR PURPOSE OR THAT THE USE OF THE LICENSED SOFTWARE,
# DATABASE OR DOCUMENTATION WILL NOT INFRINGE ANY THIRD PARTY PATENTS, COPYRIGHTS, TRADEMARKS OR OTHER RIGHTS.
#
# The name of Princeton University or Princeton may not be used in advertising or publicity pertaining to distribution
# of the software and/or database. Title to copyright in this software, database and any associated documentation
# shall at all times remain with Princeton University and LICENSEE agrees to preserve same.
"""


def names(info: ImageNetInfo) -> list[str]:
    """Unique names: the first synonym, all synonyms if other classes share the first, the definition if necessary."""
    words = info.label_descriptions()
    meanings = info.label_descriptions(detailed=True)
    columns = ([one.split(", ")[0] for one in words], words, [one.split(";")[0] for one in meanings], meanings)
    times = [Counter(map(str.casefold, column)) for column in columns]
    times[1] += times[0]  # with a single synonym, both columns are the same
    return [
        next(name for name, count in zip(row, times, strict=True) if count[name.casefold()] == 1)
        for row in zip(*columns, strict=True)
    ]


def main() -> None:
    info = ImageNetInfo("imagenet-22k")
    all_22k, in_12k, in_1k, google = (
        ImageNetInfo(f"imagenet-{subset}").label_names() for subset in ("22k", "12k", "1k", "21k-goog")
    )
    subset = set(in_12k)
    if in_12k != [synset for synset in all_22k if synset in subset]:
        raise SystemExit("the order of ImageNet-12k is not that of ImageNet-22k")
    if [synset for number, synset in enumerate(google) if number not in _NOT_IN_22K] != all_22k:
        raise SystemExit("the order of the labels in transformers is not that of timm")

    lines = ["*" * (synset in subset) + name for synset, name in zip(all_22k, names(info), strict=True)]
    NAMES.write_text(HEADER + "\n".join(lines) + "\n", encoding="ascii")
    counts = sorted({cfg.num_classes for one in convnext.default_cfgs.values() for cfg in one.cfgs.values()})
    found = {
        "versions": {"timm": timm.__version__},
        "subsets": {str(count): infer_imagenet_subset({"num_classes": count}) for count in counts},
        "numbers of the 1000 classes": {
            str(len(synsets)): [synsets.index(one) if one in synsets else None for one in in_1k]
            for synsets in (in_12k, all_22k)
        },
    }
    POSITIONS.write_text(json.dumps(found, separators=(",", ":")) + "\n")
    for file in (NAMES, POSITIONS):
        print(f"{file.name}: {file.stat().st_size / 1000:.0f} kB, {found['versions']}")


if __name__ == "__main__":
    main()
