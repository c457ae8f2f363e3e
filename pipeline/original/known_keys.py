"""The keys of a source's settings: those that are honoured, and those that change no answer.

A key with values is known only with one of these. Sources: sentence-transformers 6.2, the
``config_keys`` of its modules and ``_get_model_config`` of its models; transformers 5.24, the
parameters and saved attributes of its tokenizers.
"""

from __future__ import annotations

from typing import Final

ANY: Final = None
# The values with which a key is known, or ANY.
Keys = dict[str, "tuple[object, ...] | None"]

_NOTHING: Final[tuple[object, ...]] = (None, {}, [])
_TEXT = "text"


def _forward(output: str) -> dict[str, object]:
    return {_TEXT: {"method": "forward", "method_output_name": output}}


# An entry of modules.json.
MODULE: Keys = {"idx": ANY, "name": ANY, "path": ANY, "type": ANY, "kwargs": _NOTHING}

# sentence_bert_config.json. Weights are always read as FP32, and there is no flash attention here.
TRANSFORMER: Keys = {
    "max_seq_length": ANY,
    "do_lower_case": ANY,
    "transformer_task": ("feature-extraction", "sequence-classification"),
    "modality_config": (_forward("last_hidden_state"), _forward("logits")),
    "module_output_name": ("token_embeddings", "scores"),
    "processing_kwargs": _NOTHING,
    "unpad_inputs": ANY,
    "query_length": (None,),
    "document_length": (None,),
    "query_expansion": (None,),
    "tokenizer_name_or_path": (None,),
    **dict.fromkeys(("model_args", "tokenizer_args", "config_args"), _NOTHING),
    **dict.fromkeys(("model_kwargs", "processor_kwargs", "config_kwargs"), _NOTHING),
}

_FLAGS: tuple[str, ...] = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")
_FLAGS = (*_FLAGS, "weightedmean_tokens", "lasttoken")
POOLING: Keys = {
    "embedding_dimension": ANY,
    "word_embedding_dimension": ANY,
    "pooling_mode": ANY,
    "include_prompt": ANY,
    **{f"pooling_mode_{flag}": ANY for flag in _FLAGS},
}

DENSE: Keys = {
    "in_features": ANY,
    "out_features": ANY,
    "bias": ANY,
    "activation_function": ANY,
    "module_input_name": ("sentence_embedding",),
    "module_output_name": ("sentence_embedding", None),
    "use_residual": (False,),
}

NORMALIZE: Keys = {
    "module_input_name": ("sentence_embedding",),
    "module_output_name": ("sentence_embedding",),
}

# config_sentence_transformers.json. The similarity is computed by clients.
MODEL: Keys = {
    "__version__": ANY,
    "requirements": ANY,
    "model_type": ("SentenceTransformer", "CrossEncoder"),
    "prompts": ANY,
    "default_prompt_name": ANY,
    "similarity_fn_name": ANY,
    "activation_fn": ANY,
    "keep_in_fp32_modules": ANY,
    "truncate_dim": (None,),
}

# config.json is transformers' own, which reads it for the baseline and for the export alike.
CONFIG: Keys = {"auto_map": _NOTHING, "quantization_config": (None,)}

# tokenizer_config.json: transformers applies these, and the tokenizer is saved as it then is.
_TOKENIZER_NAMES = """
add_bos_token add_eos_token add_prefix_space add_special_tokens added_tokens_decoder
additional_special_tokens additional_special_tokens_ids backend bos_token byte_fallback
chat_template clean_text clean_up_tokenization_spaces cls_token cls_token_at_end codes
content_type cutoff default_extra_special_tokens direction do_basic_tokenize do_lower_case
do_lowercase do_lowercase_and_remove_accent do_subword_tokenize do_word_tokenize dropout
entity_mask2_token entity_mask_token entity_token_1 entity_token_2 entity_vocab_file eos_token
errors extra_ids extra_special_tokens fuse_unk handle_chinese_chars image_token init_inputs
is_fast is_local jumanpp_kwargs keep_accents lang2id id2lang language language_codes legacy
legacy_behaviour local_files_only mask_token max_entity_length max_len max_length max_mention_length
max_question_length mecab_kwargs merges merges_file model_input_names model_max_length
monolingual_vocab_file name_or_path never_split normalization offset only_label_first_subword
pad_even pad_to_multiple_of pad_token pad_token_id pad_token_type_id pad_token_segment_id
padding_side precompiled_charsmap processor_class question_token remove_space replacement
return_token_type_ids sep_token sep_token_id single_word sp_model_kwargs special_tokens
special_tokens_map_file split_special_tokens src_lang stride strip_accents subword_tokenizer_type
sudachi_kwargs task tgt_lang token_type_ids_pattern token_type_ids_include_special_tokens
tokenize_chinese_chars tokenizer_class tokenizer_file transformers_version trim_offsets
truncation_strategy unk_id unk_token unk_token_id use_default_system_prompt use_fast vocab_file
vocab_type word_tokenizer_type wordpieces_prefix cache_dir device device_map dtype torch_dtype
revision subfolder token trust_remote_code use_auth_token
"""
TOKENIZER: Keys = {
    **dict.fromkeys(_TOKENIZER_NAMES.split(), ANY),
    "truncation_side": ("right",),
    "auto_map": _NOTHING,
}
