// The names of a tokenizer's files. Nothing else: who only copies them needs no tokenizer.

/** What belongs to a tokenizer, as Hugging Face names the files: to be copied beside a result. */
export const TOKENIZER_FILES: readonly string[] = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "chat_template.jinja",
  "tokenizer.model",
  "vocab.json",
  "merges.txt",
];
