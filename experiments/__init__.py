"""The study: a folder for each question of the notes, what they share in `study`, the site in `writeup`, and the commands."""
