"""`rapt evaluate`: the measurements against clips whose truth is known."""
