"""Full-text search in English and Chinese without a server: words, stemmed, and pairs of neighbouring characters."""

from __future__ import annotations

import re
from itertools import pairwise

from sphinx.search.en import SearchEnglish

CJK = "\u3400-\u9fff\uf900-\ufaff"
PIECES = re.compile(rf"[{CJK}]+|[^\W_{CJK}]+", re.UNICODE)


class SearchBoth(SearchEnglish):
    """Chinese has no spaces: 旋转位置 is indexed by character and as 旋转, 转位, 位置; a query is split into pairs."""

    lang = "kexue"
    language_name = "English"  # the name of the stemmer's class in JavaScript
    js_splitter_code = """
function splitQuery(query) {
  const found = [];
  for (const piece of query.match(/[\\u3400-\\u9fff\\uf900-\\ufaff]+|[^\\s_\\u3400-\\u9fff\\uf900-\\ufaff]+/gu) || []) {
    if (/[\\u3400-\\u9fff\\uf900-\\ufaff]/.test(piece)) {
      if (piece.length === 1) found.push(piece);
      for (let i = 0; i + 1 < piece.length; i++) found.push(piece.slice(i, i + 2));
    } else {
      found.push(...(piece.match(/[\\p{Letter}\\p{Number}]+/gu) || []));
    }
  }
  return found;
}
"""

    def split(self, input: str) -> list[str]:
        found: list[str] = []
        for piece in PIECES.findall(input):
            if re.match(f"[{CJK}]", piece):
                found += [*piece, *(a + b for a, b in pairwise(piece))]
            else:
                found.append(piece)
        return found
