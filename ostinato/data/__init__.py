"""From files and named sets to ragged batches.

dataset       load_dataset: from a config to clean, audited splits
readers       files as streams of records: CSV, TSV, JSONL, Parquet, FASTA, .ts
named         the named data sets; generated holds those that are drawn
splits        stratified, seeded, groups kept together; cleaning and audit say what was done
tokenizers    text, DNA, protein and events as tokens; vocabulary gives them ids
encoder       all that is fitted on train: vocabulary or scale, and the label map
ragged        sequences end to end, without padding
sampler       batches of similar lengths: seeded, rank-aware, resumable
"""
