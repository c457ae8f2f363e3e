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
add_blank add_bos_token add_eos_token add_prefix_space add_special_tokens added_tokens_decoder
additional_special_tokens additional_special_tokens_ids artists_file backend bod_token bos_token
byte_fallback cache_dir cell_trim_length chain_break_token chat_template clean_text
clean_up_tokenization_spaces cls_token cls_token_at_end cls_token_box cls_token_id codes content
content_type cutoff default_extra_special_tokens device device_map direction do_basic_tokenize
do_clean_text do_lower_case do_lowercase do_lowercase_and_remove_accent do_normalize do_phonemize
do_split_on_punc do_subword_tokenize do_upper_case do_word_tokenize dropout dtype emoji_file
empty_token encoding entity_1_token entity_2_token entity_mask2_token entity_mask_token
entity_pad_token entity_token_1 entity_token_2 entity_unk_token entity_vocab entity_vocab_file
eod_token eos_token eot_token errors extra_ids extra_special_tokens fill_token fuse_unk
handle_chinese_chars id2lang image_token init_inputs is_fast is_local is_uroman jumanpp_kwargs
keep_accents lang2id lang_codes langs language language_codes legacy legacy_behaviour
local_files_only lower_case lstrip mask_token mask_token_sent max_cell_length max_column_id
max_depth max_entity_length max_input_chars_per_word max_len max_length max_mention_length
max_question_length max_row_id max_width mecab_dic mecab_kwargs mecab_option merges merges_file
middle_token min_question_length model_input_names model_max_length monolingual_vocab_file
name_or_path never_split normalization normalize normalize_text normalized normalizer_file
num_madeup_words offset only_label_first_subword pad_even pad_to_multiple_of pad_token
pad_token_box pad_token_id pad_token_label pad_token_segment_id pad_token_type_id pad_width
padding padding_side precompiled_charsmap prefix_token preserve_case pretrained_vocab_file
processor_class question_token remove_space replacement return_attention_mask
return_token_type_ids revision rstrip sep_token sep_token_box sep_token_id separate_vocabs
should_strip_spaces single_word source_spm sp_model_kwargs space_token
spaces_between_special_tokens special special_tokens special_tokens_map_file split_by_punct
split_special_tokens spm_file src_lang stride strip_accents strip_column_names subfolder
subword_tokenizer_type sudachi_kwargs suffix_first suffix_token tags_dict target_spm task tgt_lang
token token_type_ids_include_special_tokens token_type_ids_pattern tokenize_chinese_chars
tokenizer_class tokenizer_file tokenizer_path torch_dtype transformers_version trim_offsets
trim_whitespace truncation truncation_strategy trust_remote_code unk_id unk_token unk_token_id
use_auth_token use_default_system_prompt use_fast use_fast_bert_tokenizer verbose version vocab
vocab_file vocab_type word_pronunciation_file word_shape_file word_tokenizer_type
wordpieces_prefix
"""
TOKENIZER: Keys = {
    **dict.fromkeys(_TOKENIZER_NAMES.split(), ANY),
    "truncation_side": ("right",),
    "auto_map": _NOTHING,
}
