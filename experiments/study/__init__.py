"""What all questions share: settings, measurements, rules, results, the method of the trainings, figures, runs."""
