"""Licences are SPDX's, the Hub gets its own names, and doubts are told."""

import pytest

from mmseg_ftu.export.licences import doubt_of_sharing, hub_metadata, spdx_of


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('mit', 'MIT'),
        ('cc-by-4.0', 'CC-BY-4.0'),
        ('Apache-2.0 or MIT', 'Apache-2.0 OR MIT'),
        ('LicenseRef-research-only', 'LicenseRef-research-only'),
    ],
)
def test_licences_of_spdx(text, expected):
    assert spdx_of(text, '--license') == expected


@pytest.mark.parametrize(
    'text',
    ['proprietary', 'CC-BY', 'all rights reserved', 'MIT\nlicense: x', '-', 'other'],
)
def test_what_is_no_licence(text):
    with pytest.raises(ValueError, match=r'--license .*give an SPDX identifier'):
        spdx_of(text, '--license')


@pytest.mark.parametrize(
    ('license', 'expected'),
    [
        ('CC-BY-4.0', dict(license='cc-by-4.0')),
        ('GPL-3.0-or-later', dict(license='gpl-3.0')),
        ('ODbL-1.0', dict(license='odbl')),
        ('0BSD', dict(license='other', license_name='0bsd')),
        (
            'LicenseRef-research-only',
            dict(license='other', license_name='licenseref-research-only'),
        ),
        (
            'Apache-2.0 OR MIT',
            dict(license='other', license_name='apache-2.0-or-mit'),
        ),
    ],
)
def test_names_of_the_hub(license, expected):
    assert hub_metadata(license) == expected


@pytest.mark.parametrize(
    ('license', 'data_license', 'said'),
    [
        ('MIT', 'CC-BY-4.0', None),
        ('MIT', None, None),
        ('CC-BY-NC-4.0', 'CC-BY-NC-4.0', None),
        ('MIT', 'CC-BY-NC-4.0', 'for non-commercial use'),
        (None, 'CC-BY-NC-4.0', r'of the weights \(none\) does not say so'),
        ('CC-BY-NC-4.0', 'CC-BY-NC-ND-4.0', 'may not be passed on changed'),
        ('MIT', 'LicenseRef-research-only', 'have terms of their own'),
    ],
)
def test_doubts(license, data_license, said):
    found = doubt_of_sharing(license, data_license)
    if said is None:
        assert found is None
    else:
        with pytest.raises(AssertionError, match=said):
            raise AssertionError(found)
