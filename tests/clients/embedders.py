"""Clients that ask for embeddings."""

from __future__ import annotations

from typing import Any

from tests.clients.rows import QUERY, TEXTS, Server, row, use_own_encoding


@row("`openai` (Python)", '`OpenAI(base_url="http://HOST/v1")`, or `/openai/v1`', "vectors")
def openai_python(server: Server) -> Any:
    from openai import OpenAI

    with OpenAI(base_url=server.v1, api_key="none", max_retries=0) as client:
        assert "embedder" in {model.id for model in client.models.list()}
        assert client.models.retrieve("embedder").id == "embedder"
        answer = client.embeddings.create(model="embedder", input=TEXTS)
    return [each.embedding for each in answer.data]


@row("`openai` (Python), 2,048 inputs", "the same", "many vectors")
def openai_many(server: Server) -> Any:
    from openai import OpenAI

    with OpenAI(base_url=server.v1, api_key="none", max_retries=0) as client:
        answer = client.embeddings.create(model="embedder", input=[TEXTS[0]] * 2048)
    return [each.embedding for each in answer.data]


@row(
    "`cohere.Client.embed`", '`Client(base_url="http://HOST")`; `input_type` is a prompt', "queries"
)
def cohere_v1(server: Server) -> Any:
    import cohere

    client = cohere.Client("none", base_url=server.root)
    answer = client.embed(texts=TEXTS, model="prompted", input_type="search_query")
    by_type = client.embed(
        texts=TEXTS, model="prompted", input_type="search_query", embedding_types=["float"]
    )
    assert by_type.embeddings.float_ == answer.embeddings
    return answer.embeddings


@row("`cohere.ClientV2.embed`", '`ClientV2(base_url="http://HOST")`', "passages")
def cohere_v2(server: Server) -> Any:
    import cohere

    client = cohere.ClientV2("none", base_url=server.root)
    answer = client.embed(
        texts=TEXTS, model="prompted", input_type="search_document", embedding_types=["float"]
    )
    return answer.embeddings.float_


@row("`voyageai.Client.embed`", '`Client(base_url="http://HOST/v1")`', "queries")
def voyage(server: Server) -> Any:
    import voyageai

    client = voyageai.Client(api_key="none", base_url=server.v1)
    return client.embed(TEXTS, model="prompted", input_type="query").embeddings


def _litellm(name: str, base: str, **further: Any) -> Any:
    import litellm

    litellm.suppress_debug_info = True
    answer = litellm.embedding(
        model=f"{name}/embedder", input=TEXTS, api_base=base, api_key="none", **further
    )
    return [each["embedding"] for each in answer.data]


@row("LiteLLM `openai/MODEL`", '`api_base="http://HOST/v1"`', "vectors")
def litellm_openai(server: Server) -> Any:
    return _litellm("openai", server.v1)


@row("LiteLLM `hosted_vllm/MODEL`", '`api_base="http://HOST/v1"`', "vectors")
def litellm_vllm(server: Server) -> Any:
    return _litellm("hosted_vllm", server.v1)


@row("LiteLLM `jina_ai/MODEL`", '`api_base="http://HOST/v1"`', "vectors")
def litellm_jina(server: Server) -> Any:
    return _litellm("jina_ai", server.v1)


@row("LiteLLM `voyage/MODEL`", '`api_base="http://HOST/v1"`', "vectors")
def litellm_voyage(server: Server) -> Any:
    return _litellm("voyage", server.v1)


@row("LiteLLM `infinity/MODEL`", '`api_base="http://HOST/infinity"`', "vectors")
def litellm_infinity(server: Server) -> Any:
    return _litellm("infinity", f"{server.root}/infinity")


@row("LiteLLM `cohere/MODEL`", '`api_base="http://HOST/v2/embed"`', "vectors")
def litellm_cohere(server: Server) -> Any:
    return _litellm("cohere", f"{server.root}/v2/embed", input_type="search_document")


@row(
    "LangChain `OpenAIEmbeddings`, `check_embedding_ctx_length=False`",
    '`base_url="http://HOST/v1"`',
    "vectors",
)
def langchain_openai(server: Server) -> Any:
    return _langchain(server, check_embedding_ctx_length=False).embed_documents(TEXTS)


@row(
    "LangChain `OpenAIEmbeddings` with its defaults",
    "refused with 400: it sends the token ids of another tokenizer. Set "
    "`check_embedding_ctx_length=False`",
    "check_embedding_ctx_length=False",
)
def langchain_openai_defaults(server: Server) -> Any:
    from openai import BadRequestError

    try:
        _langchain(server).embed_documents(TEXTS)
    except BadRequestError as error:
        return str(error)
    return "answered"


def _langchain(server: Server, **further: Any) -> Any:
    from langchain_openai import OpenAIEmbeddings

    if not further:
        use_own_encoding()
    settings = {"base_url": server.v1, "api_key": "none", "max_retries": 0}
    return OpenAIEmbeddings(model="embedder", **settings, **further)


@row(
    "LangChain `HuggingFaceEndpointEmbeddings`",
    'its `model` may be no URL: set `embeddings.client = InferenceClient("http://HOST/models/MODEL")`',
    "vectors",
)
def langchain_hugging_face(server: Server) -> Any:
    from huggingface_hub import InferenceClient
    from langchain_huggingface import HuggingFaceEndpointEmbeddings

    embeddings = HuggingFaceEndpointEmbeddings(huggingfacehub_api_token="none")
    embeddings.client = InferenceClient(server.of("embedder"))
    vectors = embeddings.embed_documents(TEXTS)
    assert embeddings.embed_query(TEXTS[0]) == vectors[0]
    return vectors


@row("LlamaIndex `OpenAILikeEmbedding`", '`api_base="http://HOST/v1"`', "vectors")
def llama_index_openai(server: Server) -> Any:
    from llama_index.embeddings.openai_like import OpenAILikeEmbedding

    client = OpenAILikeEmbedding("embedder", api_base=server.v1, api_key="none")
    return client.get_text_embedding_batch(TEXTS)


@row("LlamaIndex `TextEmbeddingsInference`", '`base_url="http://HOST/models/MODEL"`', "vectors")
def llama_index_tei(server: Server) -> Any:
    from llama_index.embeddings.text_embeddings_inference import TextEmbeddingsInference

    client = TextEmbeddingsInference(
        model_name="embedder", base_url=server.of("embedder"), text_instruction=""
    )
    return client.get_text_embedding_batch(TEXTS)


@row("Haystack `OpenAITextEmbedder`", '`api_base_url="http://HOST/v1"`', "vectors")
def haystack_openai(server: Server) -> Any:
    from haystack import Document
    from haystack.components.embedders import OpenAIDocumentEmbedder, OpenAITextEmbedder
    from haystack.utils import Secret

    settings = {"model": "embedder", "api_base_url": server.v1, "api_key": Secret.from_token("x")}
    documents = [Document(content=text) for text in TEXTS]
    found = OpenAIDocumentEmbedder(**settings, progress_bar=False).run(documents)["documents"]
    first = OpenAITextEmbedder(**settings).run(TEXTS[0])["embedding"]
    return [first, *(document.embedding for document in found[1:])]


@row(
    "Haystack `HuggingFaceAPITextEmbedder` (`text_embeddings_inference`)",
    '`api_params={"url": "http://HOST/models/MODEL"}`',
    "vectors",
)
def haystack_hugging_face(server: Server) -> Any:
    from haystack import Document
    from haystack.utils import Secret
    from haystack_integrations.components.embedders.huggingface_api import (
        HuggingFaceAPIDocumentEmbedder,
        HuggingFaceAPITextEmbedder,
    )

    settings = {
        "api_type": "text_embeddings_inference",
        "api_params": {"url": server.of("embedder")},
        "token": Secret.from_token("x"),
    }
    documents = [Document(content=text) for text in TEXTS]
    found = HuggingFaceAPIDocumentEmbedder(**settings, progress_bar=False).run(documents)
    first = HuggingFaceAPITextEmbedder(**settings).run(TEXTS[0])["embedding"]
    return [first, *(document.embedding for document in found["documents"][1:])]


@row(
    "`huggingface_hub` `InferenceClient.feature_extraction`",
    '`model="http://HOST/models/MODEL"`',
    "vectors",
)
def hub_features(server: Server) -> Any:
    from huggingface_hub import InferenceClient

    return InferenceClient(server.of("embedder")).feature_extraction(TEXTS).tolist()


@row("`huggingface_hub` `InferenceClient.sentence_similarity`", "the same", "similarities")
def hub_similarity(server: Server) -> Any:
    from huggingface_hub import InferenceClient

    return InferenceClient(server.of("embedder")).sentence_similarity(QUERY, other_sentences=TEXTS)
