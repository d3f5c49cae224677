"""Why does the sigmoid saturate, and what does that do to the gradient?"""
