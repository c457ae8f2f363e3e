"""The report of a preparation: one HTML page, and the memory footprint that it shows.

This room turns a package's description, the evidence and the step records into a page. It imports
workspace and storage_init. It never prepares, compares or publishes anything, and the page loads
nothing from elsewhere.
"""
