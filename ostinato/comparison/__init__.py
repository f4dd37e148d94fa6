"""Many runs, fairly compared: the same splits, parameters matched, every seed, paired statistics, cost beside quality.

plan        what is to be compared: every combination of the varied keys, over every seed; all faults at once
matching    hidden sizes that give each combination as many parameters
workers     processes that train the runs side by side; nothing that is finished is repeated
cost        what a trained model costs, measured alone on the machine
results     from finished runs to a summary, pairs and sentences
compare     all of it in order
"""
