"""What every stage stands on: errors, files, volumes, geometry, seeds, provenance."""
