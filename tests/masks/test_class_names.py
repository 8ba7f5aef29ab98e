import pytest

from mmseg_ftu.masks.class_names import is_meant, list_classes, unmatched


@pytest.mark.parametrize(
    ('class_name', 'patterns', 'meant'),
    [
        ('Tumor', ['Tumor'], True),
        ('Tumor', ['tumor'], False),
        ('Tumor', ['Stroma', 'Tumor'], True),
        ('Tumor', [], False),
        ('Tumor: Positive', ['Tumor'], True),  # QuPath: derived from Tumor
        ('Tumor: Positive', ['Tumor: Positive'], True),
        ('Tumor: Positive', ['Tumor:Positive'], True),
        ('Tumor: Positive', ['Positive'], False),
        ('Tumor: Positive: Weak', ['Tumor: Positive'], True),
        ('Tumor', ['Tumor: Positive'], False),
        ('Tumor: Positive', ['*: Positive'], True),
        ('Tumors', ['Tumor'], False),
        ('Tumors', ['Tumor*'], True),
        ('Glomerulus (GS)', ['Glom*'], True),
        ('grade [3]', ['grade [3]'], True),  # the name itself, though a pattern too
        ('', ['Unclassified'], True),
        ('', ['*'], True),
        ('', ['Tumor'], False),
    ],
)
def test_meant(class_name, patterns, meant):
    assert is_meant(class_name, patterns) is meant


def test_messages():
    counts = {'': 2, 'Tumor': 3}
    assert list_classes(counts) == 'Unclassified (2), Tumor (3)'
    assert list_classes({}) == 'none'
    assert unmatched(['Tumor', 'Stroma', 'T*'], counts) == ['Stroma']
