"""The book: a static site of what is proved, measured and built, made from results and source alone.

    data       what the pages show, gathered once: results, sources, figures, models, benchmarks
    nodes      findings and texts as document nodes; nothing generated is ever parsed as markup
    pages      the Sphinx extension: one directive for each kind of page
    mathml     LaTeX to MathML, and texts with `$…$` in them
    search     a search index of English words and pairs of Chinese characters
    build      writes the Sphinx project and runs it
"""
