// Texts and bytes that break careless tokenizers. All of it is data; nothing is executed.

/** Each must come back unchanged, as exactly its UTF-8 bytes. */
export const HOSTILE_TEXTS: readonly string[] = [
  "",
  " ",
  "  two  spaces  ",
  " leading",
  "trailing ",
  "\n",
  "\r\n\r\n\t\v\f",
  "\u0000",
  "a\u0000b",
  "\ufeffbyte order mark",
  "\u00a0\u2003\u3000 spaces that are not ASCII",
  "don't can't I'll we've he'd .",
  "hello , world ! ? . n't",
  "<s></s><|endoftext|><unk>[PAD][CLS][MASK]",
  "▁Ġ Ċ ġ ĉ Ń",
  "naïve café, NFC é and NFD e\u0301",
  "ﬁ ligature, ½, ①, ﷺ, \u1e9b\u0323",
  "日本語 中文 한국어 العربية עברית ไทย",
  "👩‍👩‍👧‍👦 🏴󠁧󠁢󠁳󠁣󠁴󠁿 🇺🇳",
  "\u202eright-to-left\u202c",
  "\ufffd replacement \uffff noncharacter \u{10ffff}",
  "\u0378 unassigned \ue000 private",
  Array.from({ length: 0x250 }, (_, code) => String.fromCodePoint(code)).join(""),
  "a".repeat(10_000),
  "\u0301".repeat(1_000),
];

/** Token ids that are no UTF-8 or only the beginning of it. */
export const HOSTILE_BYTES: readonly (readonly number[])[] = [
  [0x80],
  [0xff, 0xfe],
  [0xc0, 0xaf],
  [0xe2, 0x82],
  [0xe2, 0x82, 0x41],
  [0xf0, 0x9f, 0x98],
  [0xf0, 0x9f, 0x98, 0x80, 0xf0],
  [0xed, 0xa0, 0x80],
  [0xf4, 0x90, 0x80, 0x80],
  [0xef, 0xbb, 0xbf, 0x41],
  Array.from({ length: 256 }, (_, byte) => byte),
  Array.from({ length: 256 }, (_, byte) => 255 - byte),
];
