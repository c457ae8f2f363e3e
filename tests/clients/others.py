"""Clients that rank, classify, tag, fill, and answer questions."""

from __future__ import annotations

from typing import Any

from tests.clients.rows import CANDIDATES, CONTEXT, MASKED, QUERY, QUESTION, TEXTS, Server, row


@row("`cohere.Client.rerank`", '`Client(base_url="http://HOST")`', "ranking")
def cohere_v1_rerank(server: Server) -> Any:
    import cohere

    client = cohere.Client("none", base_url=server.root)
    answer = client.rerank(query=QUERY, documents=TEXTS, model="reranker", top_n=2)
    return [[each.index, each.relevance_score] for each in answer.results]


@row("`cohere.ClientV2.rerank`", '`ClientV2(base_url="http://HOST")`', "ranking")
def cohere_v2_rerank(server: Server) -> Any:
    import cohere

    client = cohere.ClientV2("none", base_url=server.root)
    answer = client.rerank(query=QUERY, documents=TEXTS, model="reranker", top_n=2)
    return [[each.index, each.relevance_score] for each in answer.results]


@row("`voyageai.Client.rerank`", '`Client(base_url="http://HOST/v1")`', "ranking")
def voyage_rerank(server: Server) -> Any:
    import voyageai

    client = voyageai.Client(api_key="none", base_url=server.v1)
    results = client.rerank(QUERY, TEXTS, model="reranker", top_k=2).results
    return [[each.index, each.relevance_score] for each in results]


def _litellm(name: str, base: str) -> Any:
    import litellm

    litellm.suppress_debug_info = True
    answer = litellm.rerank(
        model=f"{name}/reranker",
        query=QUERY,
        documents=TEXTS,
        top_n=2,
        api_base=base,
        api_key="none",
    )
    for each in answer.results:
        assert each["document"]["text"] == TEXTS[each["index"]]
    return [[each["index"], each["relevance_score"]] for each in answer.results]


@row("LiteLLM `rerank`, `cohere/MODEL`", '`api_base="http://HOST"`', "ranking")
def litellm_cohere_rerank(server: Server) -> Any:
    return _litellm("cohere", server.root)


@row("LiteLLM `rerank`, `jina_ai/MODEL`", '`api_base="http://HOST/v1"`', "ranking")
def litellm_jina_rerank(server: Server) -> Any:
    return _litellm("jina_ai", server.v1)


@row("LiteLLM `rerank`, `hosted_vllm/MODEL`", '`api_base="http://HOST/v1"`', "ranking")
def litellm_vllm_rerank(server: Server) -> Any:
    return _litellm("hosted_vllm", server.v1)


@row("LiteLLM `rerank`, `voyage/MODEL`", '`api_base="http://HOST/v1"`', "ranking")
def litellm_voyage_rerank(server: Server) -> Any:
    return _litellm("voyage", server.v1)


@row("LiteLLM `rerank`, `infinity/MODEL`", '`api_base="http://HOST/infinity"`', "ranking")
def litellm_infinity_rerank(server: Server) -> Any:
    return _litellm("infinity", f"{server.root}/infinity")


@row("LiteLLM `rerank`, `huggingface/MODEL`", '`api_base="http://HOST"`', "ranking")
def litellm_hugging_face_rerank(server: Server) -> Any:
    return _litellm("huggingface", server.root)


def _hub(server: Server, model: str) -> Any:
    from huggingface_hub import InferenceClient

    return InferenceClient(server.of(model))


@row(
    "`huggingface_hub` `InferenceClient.text_classification`",
    '`model="http://HOST/models/MODEL"`',
    "labels",
)
def hub_classification(server: Server) -> Any:
    found = _hub(server, "classifier").text_classification(TEXTS[0])
    return [[each.label, each.score] for each in found]


@row("`huggingface_hub` `InferenceClient.zero_shot_classification`", "the same", "zero-shot")
def hub_zero_shot(server: Server) -> Any:
    found = _hub(server, "nli").zero_shot_classification(TEXTS[0], CANDIDATES, multi_label=True)
    return [[each.label, each.score] for each in found]


@row("`huggingface_hub` `InferenceClient.token_classification`", "the same", "entities")
def hub_tokens(server: Server) -> Any:
    found = _hub(server, "tagger").token_classification(TEXTS[0], aggregation_strategy="max")
    return [[each.entity_group, each.score, each.start, each.end] for each in found]


@row("`huggingface_hub` `InferenceClient.fill_mask`", "the same", "fills")
def hub_masks(server: Server) -> Any:
    found = _hub(server, "masked").fill_mask(MASKED, top_k=3)
    return [[each.token_str, each.score, each.sequence] for each in found]


@row("`huggingface_hub` `InferenceClient.question_answering`", "the same", "answer")
def hub_answer(server: Server) -> Any:
    found = _hub(server, "reader").question_answering(question=QUESTION, context=CONTEXT)
    return [found.answer, found.score, found.start, found.end]
