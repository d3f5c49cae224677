"""What does pooling compute, save and keep, and does it help against overfitting and shifts?"""
