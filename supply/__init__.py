"""What Cityzones is made of: its locks checked, its parts listed with their licences, and asked about in advisories."""
