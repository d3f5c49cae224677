"""One script a topic of the notes, and what the scripts share: settings, measurements, rules, results, figures, the writeup."""
