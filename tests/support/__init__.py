"""What several tests share: parts, processes, faces, and saying what is absent."""
