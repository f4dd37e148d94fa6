"""What tasks with one target for each sequence share: records, audit, encoder, network, explanations, report sections.

Not a task itself: each of these tasks says what a target is (`targets.TargetKind`) and how its outputs are read.
"""
