"""What does an embedding table save, learn and transfer?"""
