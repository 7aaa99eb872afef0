"""The sixteen classes that people and ImageNet models can both name.

Source: Geirhos et al., NeurIPS 2018; the indices that are reachable from ImageNet's 1000 outputs (classes in the order
of their WordNet ids) are those of the code of Feather et al. (2023).
"""

from metamers.labels.label_space import LabelSpace

_INDICES = {
    "airplane": "404",
    "bear": "294-297",
    "bicycle": "444 671",
    "bird": "8 10-16 18-20 22-24 80-83 87-96 98-100 127-133 135-145",
    "boat": "472 554 625 814 914",
    "bottle": "440 720 737 898-899 901 907",
    "car": "436 511 817",
    "cat": "281-286",
    "chair": "423 559 765 857",
    "clock": "409 530 892",
    "dog": "152-191 193-203 205-226 228-241 243-250 252-257 259 261-263 265-268",
    "elephant": "385-386",
    "keyboard": "508 878",
    "knife": "499",
    "oven": "544 766",
    "truck": "555 569 656 675 717 734 864 867",
}


def _expanded(ranges: str) -> tuple[int, ...]:
    ends = (part.split("-") for part in ranges.split())
    return tuple(i for part in ends for i in range(int(part[0]), int(part[-1]) + 1))


IMAGENET16 = LabelSpace("imagenet16", tuple(_INDICES), tuple(map(_expanded, _INDICES.values())), 1000)
"""208 of the 1000 outputs, in 16 classes."""
