"""Frames → H.264 in MP4 at their real times: no acknowledged frame is missing from the file, none is there twice."""
