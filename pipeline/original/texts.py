"""Texts on which tokenizers differ if they differ at all."""

from __future__ import annotations

from itertools import pairwise

# Many scripts, and what normalizers, pre-tokenizers and vocabularies treat in their own ways.
SAMPLES = (
    "",
    " ",
    "a",
    "Hello, world!",
    "The quick brown fox jumps over the lazy dog.",
    "  leading,   inner and trailing spaces  ",
    "tabs\tand\nnew\r\nlines\u00a0and\u2003wide\u200bones",
    "UPPER lower MiXeD cAsE",
    "don't can't it's I'm we've y'all 'quoted'",
    "e-mail: first.last+tag@example.org, https://example.org/a/b?c=d&e=f#g",
    "$1,234.56 + 7% = 0.5e-10; 3×4÷2 ≠ 6½ (№ 42)",
    "def f(x_1): return {'a': [x_1 ** 2, None]}  # comment",
    "<p>markup</p> &amp; [brackets] {braces} ~`|\\^_",
    "Ça marche déjà — naïve café, œuvre, l'été; ﬁne ligature",
    "Cafe\u0301 with combining marks, and A\u030angstro\u0308m",
    "Größe, Straße, ÄÖÜ äöü; İstanbul ıssız; Łódź, čeština, ő",
    "Привет, мир! Съешь ещё этих мягких французских булок.",
    "Γειά σου Κόσμε, τι κάνεις; Ὀδυσσεύς",
    "שלום עולם, מה שלומך? שָׁלוֹם",
    "مرحبا بالعالم، كيف حالك؟ السَّلامُ عليكم ١٢٣",
    "नमस्ते दुनिया, आप कैसे हैं? क्षत्रिय",
    "হ্যালো বিশ্ব, কেমন আছো?",
    "வணக்கம் உலகம்",
    "สวัสดีชาวโลก วันนี้อากาศดีมาก",
    "မင်္ဂလာပါ ကမ္ဘာလောက",
    "ជំរាបសួរ\u200bពិភពលោក",
    "გამარჯობა მსოფლიო",
    "Բարեւ աշխարհ",
    "ሰላም ልዑል",
    "你好，世界！今天天气很好。漢字與简体字",
    "こんにちは世界。カタカナ ﾊﾝｶｸ ＡＢＣ１２３",
    "안녕하세요 세계, 오늘 날씨가 좋네요. ㅋㅋㅋ",
    "Xin chào thế giới, tiếng Việt có dấu",
    "Türkçe İI ıi, Azərbaycan dili",
    "😀👍🏽 👨\u200d👩\u200d👧 🇫🇷 ❤\ufe0f ☃",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝕞𝕒𝕥𝕙 ℌ ™ ² ㎏",
    "\ufeffmark \u200e\u200f\u202aof\u202c direction \u00ad soft",
    "control \x01\x1f\x7f characters and \ufffd",
    "[CLS] [SEP] [MASK] [PAD] [UNK] <s> </s> <mask> <pad> <unk>",
    "<|endoftext|> <|im_start|> <bos> <eos> [INST] ##ing ▁word Ġword",
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "...!!!???---___***",
    "(a)b[c]d{e}f<g>h/i\\j|k",
    "#hashtag @mention :) :-( <3 lol",
    "1 22 333 4444 55555 666666 7777777",
)


def tokenizer_texts(longest: int) -> list[str]:
    """A few hundred texts, the last of them with more than ``longest`` words."""
    samples = [*SAMPLES, *(f"{one} {other}" for one, other in pairwise(SAMPLES))]
    samples += [f"{one}{other}" for one, other in pairwise(SAMPLES[::-1])]
    samples += [each.upper() for each in SAMPLES] + [each.lower() for each in SAMPLES]
    return [*dict.fromkeys(samples), *long_texts(longest)]


def long_texts(longest: int) -> list[str]:
    """Texts of more than ``longest`` words: words alone, and all samples over and over."""
    words = " ".join(f"word {number} of a long text," for number in range(longest // 4 + 1))
    samples = " ".join(SAMPLES)
    return [words, " ".join([samples] * (longest // len(samples.split()) + 1))]
