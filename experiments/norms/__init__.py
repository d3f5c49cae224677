"""Over which axis do batch and layer normalisation normalise, and which of the two suits which batch and which network?"""
