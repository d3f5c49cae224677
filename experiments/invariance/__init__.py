"""When does a network recognise an object wherever it stands in the image?"""
