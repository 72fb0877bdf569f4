"""What the pages of a site load: style, scripts, the viewer's library and its licences."""

from importlib import resources

FOLDER = resources.files(__package__)
NAMES = ("report.css", "report.js", "viewer.js", "niivue.umd.js", "niivue-LICENSES.txt")
