// Decisions: route match, balancers, outlier detection, retry budgets, breakers. Time and randomness are arguments.
