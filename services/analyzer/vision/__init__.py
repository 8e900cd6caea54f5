"""From a JPEG to landmarks: OpenCV and MediaPipe behind small typed interfaces."""
