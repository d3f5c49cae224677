"""What does dropout compute exactly, what only nearly, and what does training with it give?"""
