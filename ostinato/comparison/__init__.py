"""Fair comparisons of many runs: same splits, matched parameters, every seed, paired tests, cost next to quality.

options   the options of `ostinato compare`, checked together and turned into a plan
plan      every combination of the varied keys, with every seed
matching  hidden sizes that give all combinations about as many parameters
training  one run: train it, and test it at other lengths
lengths   generated test sequences of other lengths
workers   processes that train runs in parallel
cost      latency, throughput and memory of a trained model, measured alone on the machine
summary   from finished runs to results
results   the results, as `comparison.json` holds them
compare   all of this in order; finished runs are never repeated
table     results in a terminal, and as CSV
page      results as a web page, with plots from `figures`
"""
