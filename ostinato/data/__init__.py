"""From files and named sets to ragged batches; nothing here knows what a target is.

formats        one table of file formats, each a stream of rows: CSV, TSV, JSONL, Parquet, FASTA, .ts, CoNLL, CoNLL-U
examples       records (a sequence with its target) and sentences (words with their tags)
remote         files on S3 and other remote file systems
ondisk         rows and tokens of data larger than memory, in files
named          what a named data set is; generated holds those that are drawn at random
splits         stratified, seeded, groups kept together
cleaning       empty rows, duplicates, conflicts, overlap of splits; audit reports them
tokenizers     text, DNA, protein and events as tokens; vocabulary gives them ids
vectors        pretrained vectors of tokens
chunks         runs of sequences that are tokenized at once
scale          mean and deviation of the channels of series
encoder        everything fitted on train that encodes sequences: vocabulary or scale, and the cut
ragged         sequences end to end, without padding
sampler        batches of similar lengths: seeded, rank-aware, resumable
"""
