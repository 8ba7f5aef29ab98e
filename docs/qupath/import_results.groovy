/*
 * Put the outlines of `mmseg-ftu predict ... --save geojson` into all images of the
 * open project, with their class and measurements.
 *
 * The outlines of a.svs are in a.geojson or a.geojson.gz. An object that is there
 * already (it has the same ID) is left alone, so the script may be run again, and what
 * you have edited stays. Nothing is removed.
 *
 * For QuPath 0.5 and 0.6: Automate, Script editor, Run. Make a copy of the project first.
 * Checked by a parser and run on a stand-in of QuPath's classes; not run in QuPath.
 */
import java.nio.file.Files
import java.nio.file.Paths
import qupath.lib.io.PathIO
import qupath.lib.objects.PathObjects

import static qupath.lib.gui.scripting.QPEx.*

// Settings
def folder = buildFilePath(PROJECT_BASE_DIR, 'results', 'geojson')
def asDetections = false   // true: detections, which are quicker where there are thousands

// The name of the image's file without its extension, whatever the entry is called
def stemOf = { entry ->
    def uris = entry.getURIs()
    def name = uris.isEmpty() ? entry.getImageName() : new File(uris[0].getPath()).getName()
    def dot = name.lastIndexOf('.')
    return dot > 0 ? name.substring(0, dot) : name
}

def toDetection = { object ->
    def detection = PathObjects.createDetectionObject(
        object.getROI(), object.getPathClass(), object.getMeasurementList())
    detection.setName(object.getName())
    detection.setID(object.getID())
    return detection
}

def project = getProject()
if (project == null) {
    throw new IllegalStateException('No project is open: open one, or drop a GeoJSON file onto the image')
}
if (!Files.isDirectory(Paths.get(folder))) {
    throw new IllegalStateException('There is no folder ' + folder + ': change the first setting')
}
def current = getCurrentImageData()
def currentEntry = getProjectEntry()

def failed = []
project.getImageList().each { entry ->
    def stem = stemOf(entry)
    def file = ['.geojson', '.geojson.gz'].collect { Paths.get(folder, stem + it) }.find { Files.exists(it) }
    if (file == null) {
        println stem + ': no results'
        return
    }
    try {
        def objects = PathIO.readObjects(file)
        def isOpen = currentEntry != null && currentEntry.getID() == entry.getID()
        def imageData = isOpen ? current : entry.readImageData()
        def hierarchy = imageData.getHierarchy()
        def known = hierarchy.getAllObjects(false).collect { it.getID() } as Set
        def fresh = objects.findAll { !known.contains(it.getID()) }
        if (!fresh.isEmpty()) {
            hierarchy.addObjects(asDetections ? fresh.collect(toDetection) : fresh)
            entry.saveImageData(imageData)
        }
        if (isOpen) {
            fireHierarchyUpdate()
        } else {
            imageData.getServer().close()
        }
        println stem + ': ' + fresh.size() + ' objects added, ' + (objects.size() - fresh.size()) + ' were there'
    } catch (Exception error) {
        failed << stem
        println stem + ': ' + error
    }
}
if (!failed.isEmpty()) {
    println 'FAILED: ' + failed.join(', ')
}
