"""What does the shortcut of a residual connection do to the gradient, and how deep can networks with it be trained?"""
