"""What drove an answer, how faithful the explanation is, and what a model knows as a whole."""

from ostinato.explanation.ablation import AttentionAblation, ablate_attention
from ostinato.explanation.agreement import Agreement, agreement
from ostinato.explanation.attribution import METHODS, explain_sequences, letters_of, methods_of
from ostinato.explanation.explanation import Explanation
from ostinato.explanation.faithfulness import Faithfulness, measure
from ostinato.explanation.logos import plot_logo, plot_profile
from ostinato.explanation.meme import write_meme
from ostinato.explanation.motifs import Motif, find_motifs, position_profile, recovery
from ostinato.explanation.plot_explanation import plot_explanation
from ostinato.explanation.plot_faithfulness import plot_deletion
from ostinato.explanation.plot_trace import plot_trace
from ostinato.explanation.strands import StrandAgreement, strand_agreement
from ostinato.explanation.top_tokens import TokenScore, top_tokens
from ostinato.explanation.trace import Trace, trace_sequence

__all__ = [
    "METHODS",
    "Agreement",
    "AttentionAblation",
    "Explanation",
    "Faithfulness",
    "Motif",
    "StrandAgreement",
    "TokenScore",
    "Trace",
    "ablate_attention",
    "agreement",
    "explain_sequences",
    "find_motifs",
    "letters_of",
    "measure",
    "methods_of",
    "plot_deletion",
    "plot_explanation",
    "plot_logo",
    "plot_profile",
    "plot_trace",
    "position_profile",
    "recovery",
    "strand_agreement",
    "top_tokens",
    "trace_sequence",
    "write_meme",
]
