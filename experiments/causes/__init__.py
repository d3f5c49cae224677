"""Why do gradients vanish or explode, and what sets the rate?"""
