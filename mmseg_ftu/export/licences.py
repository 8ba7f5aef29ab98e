"""Licences of weights and training data: SPDX's names, and those of the Hub."""

import re

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

#: The Hub's names that are SPDX's in lower case; read 2026-11 in
#: https://huggingface.co/docs/hub/repositories-licenses.
HUB_NAMES = {
    *('afl-3.0', 'agpl-3.0', 'apache-2.0', 'artistic-2.0', 'bsd-2-clause'),
    *('bsd-3-clause', 'bsd-3-clause-clear', 'bsl-1.0', 'cc-by-2.0', 'cc-by-2.5'),
    *('cc-by-3.0', 'cc-by-4.0', 'cc-by-nc-2.0', 'cc-by-nc-3.0', 'cc-by-nc-4.0'),
    *('cc-by-nc-nd-3.0', 'cc-by-nc-nd-4.0', 'cc-by-nc-sa-2.0', 'cc-by-nc-sa-3.0'),
    *('cc-by-nc-sa-4.0', 'cc-by-nd-4.0', 'cc-by-sa-3.0', 'cc-by-sa-4.0', 'cc0-1.0'),
    *('cdla-permissive-1.0', 'cdla-permissive-2.0', 'cdla-sharing-1.0', 'ecl-2.0'),
    *('epl-1.0', 'epl-2.0', 'etalab-2.0', 'eupl-1.1', 'gpl-2.0', 'gpl-3.0', 'isc'),
    *('lgpl-2.1', 'lgpl-3.0', 'lppl-1.3c', 'mit', 'mpl-2.0', 'ms-pl', 'ncsa'),
    *('ofl-1.1', 'osl-3.0', 'postgresql', 'unlicense', 'wtfpl', 'zlib'),
}
#: Those that it names in another way.
HUB_ALIASES = {
    'c-uda-1.0': 'c-uda',
    'odbl-1.0': 'odbl',
    'odc-by-1.0': 'odc-by',
    'pddl-1.0': 'pddl',
}
OWN_TERMS = 'LicenseRef-'
OPTIONS = dict(license='--license', data_license='--data-license')


def spdx_of(text: str, option: str) -> str:
    """Return a licence as SPDX writes it.

    Args:
        text: An identifier or an expression of SPDX, in any case; ``LicenseRef-NAME``
            for terms that SPDX does not list.
        option: How messages call it.

    Raises:
        ValueError: If it is something else.
    """
    try:
        return str(canonicalize_license_expression(text))
    except InvalidLicenseExpression as error:
        raise ValueError(
            f'{option} {text!r}: give an SPDX identifier such as CC-BY-4.0, see '
            f'https://spdx.org/licenses, or {OWN_TERMS}NAME for other terms, such as '
            f'{OWN_TERMS}research-only'
        ) from error


def hub_metadata(license: str) -> dict[str, str]:
    """Return what the Hub's metadata say of a licence.

    Args:
        license: As `spdx_of` returns it.
    """
    name = re.sub('-(only|or-later)$', '', license.lower())
    name = HUB_ALIASES.get(name, name)
    if name in HUB_NAMES or name in HUB_ALIASES.values():
        return dict(license=name)
    return dict(
        license='other', license_name=re.sub('[^a-z0-9.-]+', '-', license.lower())
    )


def doubt_of_sharing(license: str | None, data_license: str | None) -> str | None:
    """Say why the licence of the data may not allow to share the weights so.

    Whether weights are bound by the data that they were trained on is disputed, and
    differs between countries: it is said, and not refused.

    Args:
        license: Licence of the weights, None if not said.
        data_license: Licence of the training data, None if not said.

    Returns:
        A sentence; None where nothing speaks against it.
    """
    data = data_license or ''
    if OWN_TERMS in data:
        return (
            f'the training data have terms of their own ({data}): read whether they '
            'let you share what was trained on them'
        )
    if '-ND' in data:
        return (
            f'the training data may not be passed on changed ({data}): ask the owner '
            'whether that binds the weights'
        )
    if '-NC' in data and '-NC' not in (license or ''):
        return (
            f'the training data are for non-commercial use ({data}), and the licence '
            f'of the weights ({license or "none"}) does not say so'
        )
    return None
