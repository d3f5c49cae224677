"""Which remedies bring vanishing and exploding gradients back, and from which of the two?"""
