"""What drove a prediction, how far that picture can be believed, and what the model knows as a whole."""

from ostinato.explanation.ablation import AttentionAblation, ablate_attention
from ostinato.explanation.agreement import Agreement, agreement
from ostinato.explanation.attribution import METHODS, Explanation, explain, methods_of
from ostinato.explanation.faithfulness import Faithfulness, measure
from ostinato.explanation.logos import plot_logo, plot_profile
from ostinato.explanation.meme import write_meme
from ostinato.explanation.motifs import Motif, find_motifs, position_profile, recovery
from ostinato.explanation.plot_explanation import plot_explanation
from ostinato.explanation.plot_faithfulness import plot_deletion
from ostinato.explanation.plot_trace import plot_trace
from ostinato.explanation.strands import StrandAgreement, strand_agreement
from ostinato.explanation.tag_faithfulness import TagFaithfulness, measure_tags
from ostinato.explanation.tagging import TAG_METHODS, TagExplanation, explain_tag, explain_tags
from ostinato.explanation.top_tokens import TokenScore, top_tokens
from ostinato.explanation.trace import Trace, trace

__all__ = [
    "METHODS",
    "TAG_METHODS",
    "Agreement",
    "AttentionAblation",
    "Explanation",
    "Faithfulness",
    "Motif",
    "StrandAgreement",
    "TagExplanation",
    "TagFaithfulness",
    "TokenScore",
    "Trace",
    "ablate_attention",
    "agreement",
    "explain",
    "explain_tag",
    "explain_tags",
    "find_motifs",
    "measure",
    "measure_tags",
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
    "trace",
    "write_meme",
]
