"""What does normalisation do to the scales, the gradients and the training of deep networks, and why does it help?"""
