"""What does a neuron compute, what does each kind of network see, and what do activations add?"""
