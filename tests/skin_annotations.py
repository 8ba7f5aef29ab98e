"""Annotations of the skin slide ``stain_images/cmu_small_region.svs``.

They were made by hand for these tests, on a picture of it, and are no expert's.
"""

import json
from pathlib import Path

SCALE = 2220 / 952  # of the slide to the picture they were drawn on
BULB = [
    (505, 690), (525, 745), (570, 800), (600, 790), (590, 890), (575, 975), (545, 1025),
    (512, 1075), (497, 1085), (512, 1040), (505, 1005), (475, 985), (470, 930),
    (478, 900), (468, 850), (468, 780), (470, 720),
]  # fmt: skip
HAIR = [
    (550, 853), (572, 855), (570, 880), (558, 910), (535, 932), (515, 925), (515, 900),
    (530, 870),
]  # fmt: skip
LEFT = [
    (385, 800), (395, 850), (385, 930), (355, 1010), (345, 1090), (350, 1165),
    (315, 1190), (300, 1270), (245, 1270), (245, 1200), (275, 1130), (315, 1080),
    (340, 980), (345, 920), (375, 860),
]  # fmt: skip
RIGHT = [
    (740, 980), (765, 1045), (760, 1120), (745, 1180), (725, 1270), (668, 1270),
    (665, 1180), (680, 1090), (712, 1060),
]  # fmt: skip
PAPILLAE = [
    [(735, 1095), (752, 1100), (748, 1125), (730, 1125)],
    [(700, 1145), (720, 1165), (715, 1210), (695, 1215), (685, 1180)],
]
KERATIN = [
    (690, 395), (690, 490), (640, 640), (770, 565), (772, 610), (660, 700), (575, 785),
    (512, 705), (530, 600), (580, 480), (620, 415),
]  # fmt: skip
REGION = [(200, 560), (830, 560), (830, 1270), (200, 1270)]


def ring(points):
    """Return a closed ring in px of the slide."""
    return [[round(x * SCALE, 1), round(y * SCALE, 1)] for x, y in [*points, points[0]]]


def feature(class_name, *rings):
    """Return a feature as QuPath 0.5 writes it."""
    names = class_name.split(': ')
    title = {'names': names} if len(names) > 1 else {'name': class_name}
    return {
        'type': 'Feature',
        'id': f'{len(rings)}-{class_name}',
        'geometry': {'type': 'Polygon', 'coordinates': [ring(r) for r in rings]},
        'properties': {
            'objectType': 'annotation',
            'classification': {**title, 'color': [200, 0, 0]},
        },
    }


FEATURES = [
    feature('Epithelium: Follicle', BULB, HAIR),
    feature('Epithelium', LEFT),
    feature('Epithelium', RIGHT, *PAPILLAE),
    feature('Keratin', KERATIN),
    feature('Region', REGION),
]


def write_annotations(path: Path, features=FEATURES) -> Path:
    """Write a FeatureCollection."""
    collection = {'type': 'FeatureCollection', 'features': list(features)}
    path.write_text(json.dumps(collection))
    return path
