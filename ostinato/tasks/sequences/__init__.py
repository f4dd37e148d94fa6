"""Code shared by tasks with one target per sequence: reading, audit, encoding, network, explanations, report sections.

This package is not a task. Each of these tasks defines its kind of target (`targets.TargetKind`) and interprets the
outputs of its network.
"""
