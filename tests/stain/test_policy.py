from mmseg_ftu.stain import FailureCount


def test_failures_are_told_at_the_powers_of_ten():
    failures, lines = FailureCount(), {}
    for number in range(1, 251):
        reason = ('white', None, 'black')[number % 3]
        line = failures.add(reason, f'image {number}')
        if line is not None:
            lines[number] = line
    assert list(lines) == [2, 15, 150]
    assert lines[2] == (
        "1 of 2 images could not be fitted {'black': 1}; the last was image 2"
    )
    assert lines[15].startswith("10 of 15 images could not be fitted {'black': 5, 'w")
