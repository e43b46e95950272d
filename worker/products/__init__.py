"""What a job hands over: rasters, tables, pictures, pages, styles and a catalogue item."""
