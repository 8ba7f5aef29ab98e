/*
 * Write the annotations of all images of the open project, one GeoJSON file an image.
 *
 * `mmseg-ftu prepare slides SLIDES ANNOTATIONS OUT` reads them: a.geojson belongs to
 * a.svs. Points and lines are written too; prepare counts them and leaves them out.
 *
 * For QuPath 0.5 and 0.6: Automate, Script editor, Run. Save the open image first.
 * Checked by a parser and run on a stand-in of QuPath's classes; not run in QuPath.
 */
import java.nio.file.Files
import java.nio.file.Paths
import java.nio.file.StandardCopyOption
import qupath.lib.io.PathIO

import static qupath.lib.gui.scripting.QPEx.*

// Settings
def folder = buildFilePath(PROJECT_BASE_DIR, 'annotations')
def replace = false   // true: replace files of the same name

// The name of the image's file without its extension, whatever the entry is called
def stemOf = { entry ->
    def uris = entry.getURIs()
    def name = uris.isEmpty() ? entry.getImageName() : new File(uris[0].getPath()).getName()
    def dot = name.lastIndexOf('.')
    return dot > 0 ? name.substring(0, dot) : name
}

def project = getProject()
if (project == null) {
    throw new IllegalStateException('No project is open: open one, or export by File, Export objects as GeoJSON')
}
def current = getCurrentImageData()
if (current != null && current.isChanged()) {
    throw new IllegalStateException('The open image has changes that are not saved: save it first (File, Save)')
}

def entries = project.getImageList()
def shared = entries.groupBy { stemOf(it) }.findAll { it.value.size() > 1 }
if (!shared.isEmpty()) {
    def names = shared.collect { stem, found -> stem + ' (' + found*.getImageName().join(', ') + ')' }
    throw new IllegalStateException('Several images have one name, and would write one file: ' + names.join('; '))
}

def target = Paths.get(folder)
Files.createDirectories(target)
def written = 0
entries.each { entry ->
    def stem = stemOf(entry)
    def annotations = entry.readHierarchy().getAnnotationObjects()
    def file = target.resolve(stem + '.geojson')
    if (annotations.isEmpty()) {
        println stem + ': no annotations, nothing written'
    } else if (Files.exists(file) && !replace) {
        println stem + ': ' + file + ' is there already and stays (replace = true replaces it)'
    } else {
        // under another name first, so that a stop leaves no half of a file
        def part = target.resolve(stem + '.geojson.part')
        PathIO.exportObjectsAsGeoJSON(part, annotations, PathIO.GeoJsonExportOptions.FEATURE_COLLECTION)
        Files.move(part, file, StandardCopyOption.REPLACE_EXISTING)
        written += 1
        println stem + ': ' + annotations.size() + ' annotations'
    }
}
println written + ' of ' + entries.size() + ' images written to ' + target
