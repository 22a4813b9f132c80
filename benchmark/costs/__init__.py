"""What a plan costs before it is run: images, multiply-adds, device hours, memory and disk (`bench estimate`)."""
