"""The Groovy scripts for QuPath are Groovy, and name files as the commands do."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / 'docs' / 'qupath'
SCRIPTS = sorted(FOLDER.glob('*.groovy'))
# Read in the source of QuPath 0.5.1 and 0.6.0; both have them.
KNOWN = {
    *('getURIs', 'getImageName', 'getImageList', 'readHierarchy', 'readImageData'),
    *('saveImageData', 'getAnnotationObjects', 'getAllObjects', 'addObjects', 'getID'),
    *('setID', 'getName', 'setName', 'getROI', 'getPathClass', 'getMeasurementList'),
    *('getHierarchy', 'getServer', 'isChanged', 'exportObjectsAsGeoJSON'),
    *('readObjects', 'createDetectionObject', 'buildFilePath', 'getProject', 'close'),
    *('getCurrentImageData', 'getProjectEntry', 'fireHierarchyUpdate'),
}
PLAIN = {
    *('add', 'collect', 'contains', 'createDirectories', 'each', 'exists', 'find'),
    *('findAll', 'get', 'getPath', 'groupBy', 'isDirectory', 'isEmpty', 'join'),
    *('lastIndexOf', 'move', 'resolve', 'size', 'substring'),
}


def faults(source: str) -> list[str]:
    """Return what a parser does not understand."""
    tree_sitter = pytest.importorskip('tree_sitter')
    groovy = pytest.importorskip('dekobon_tree_sitter_groovy')
    parser = tree_sitter.Parser(tree_sitter.Language(groovy.language()))
    found, nodes = [], [parser.parse(source.encode()).root_node]
    while nodes:
        node = nodes.pop()
        if node.type == 'ERROR' or node.is_missing:
            found.append(f'line {node.start_point[0] + 1}: {node.text.decode()[:60]}')
        nodes += node.children
    return found


def test_there_are_two_scripts_that_say_how_they_were_checked():
    assert [p.stem for p in SCRIPTS] == ['export_annotations', 'import_results']
    for path in SCRIPTS:
        assert 'not run in QuPath' in path.read_text('utf-8')


@pytest.mark.parametrize('path', SCRIPTS, ids=[p.stem for p in SCRIPTS])
def test_a_parser_understands_it(path):
    text = path.read_text('utf-8')
    assert faults(text) == []
    assert faults(text.replace('def project =', 'def project ==', 1)) != []
    assert faults(text + '}') != []


@pytest.mark.parametrize('path', SCRIPTS, ids=[p.stem for p in SCRIPTS])
def test_every_method_is_one_of_qupath_or_of_groovy(path):
    code = re.sub(r"//.*|/\*.*?\*/|'[^']*'", '', path.read_text('utf-8'), flags=re.S)
    called = {*re.findall(r'\.(\w+)[({ ]', code)} - {'util'}
    assert called - KNOWN - PLAIN - {'value', 'file', 'lib'} == set()


def test_both_name_the_files_of_a_slide_alike():
    stems = [
        re.search(r'def stemOf = .*?\n}\n', path.read_text('utf-8'), re.S)[0]
        for path in SCRIPTS
    ]
    assert stems[0] == stems[1]
    export, results = (path.read_text('utf-8') for path in SCRIPTS)
    assert "stem + '.geojson'" in export
    assert "['.geojson', '.geojson.gz']" in results
