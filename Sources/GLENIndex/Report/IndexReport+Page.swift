import GLENPlatform

extension IndexReport {
  /// The report as one page for a browser: no script, no other file, for light and dark.
  ///
  /// - Parameter title: What the index is called; any text.
  /// - Complexity: O(size of the page), which does not grow with the index.
  public func html(title: String) -> String {
    let name = Page.escaped(title)
    var sections = [Page.cards(cards), sizesSection]
    if !firstTokens.isEmpty { sections.append(tokensSection) }
    if !largestBuckets.isEmpty { sections.append(bucketsSection) }
    sections.append(lengthSection)
    if documentsBySegment.count > 1 { sections.append(segmentsSection) }
    return """
      <!DOCTYPE html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <title>\(name)</title>
      <style>
      \(Page.style)
      </style>
      </head>
      <body>
      <main>
      <header><h1>\(name)</h1>
      <p>What the identifiers of this index look like. Model <code>\(Page.escaped(model))</code>.</p>
      </header>
      \(sections.joined(separator: "\n"))
      </main>
      </body>
      </html>

      """
  }

  private var cards: [(value: String, label: String)] {
    [
      (Page.grouped(documents), documents == 1 ? "document" : "documents"),
      (Page.grouped(identifiers), identifiers == 1 ? "identifier" : "identifiers"),
      (Page.percent(collisionRate), "of documents share theirs"),
      (Page.grouped(largestBucket), "documents in the fullest bucket"),
      (
        Page.decimal(identifierEntropy),
        "bits of \(Page.decimal(log2(Double(max(documents, 1))))) that identifiers tell"
      ),
      (
        Page.grouped(identifierLength),
        identifierLength == 1 ? "token an identifier" : "tokens an identifier"
      ),
    ]
  }

  private var sizesSection: String {
    let bars = bucketSizes.map { size in
      let largest = min(size.largest, largestBucket)
      return Page.Bar(
        label: size.smallest == 1
          ? "alone"
          : "\(Page.grouped(size.smallest))"
            + (largest > size.smallest ? "–\(Page.grouped(largest))" : ""),
        value: size.documents,
        note:
          "\(Page.percent(share(size.documents))) · \(Page.count(size.identifiers, "identifier"))"
      )
    }
    return Page.section(
      "How many share an identifier",
      "Documents by the size of their bucket: those alone are told apart by the identifier, the "
        + "others by their weights.",
      Page.bars(bars))
  }

  private var tokensSection: String {
    let steps = tokensByStep.indices.map { step in
      Page.Bar(
        label: "Token \(step + 1)", value: tokensByStep[step],
        note: "\(Page.grouped(tokensByStep[step])) different · "
          + "\(Page.decimal(tokenEntropyByStep[step])) bits")
    }
    let rare = firstTokens.last.flatMap { $0.piece == nil ? $0 : nil }
    let shown = firstTokens.filter { $0.piece != nil }
    let rest = rare.map {
      " Not drawn: \(Page.count($0.tokens, "rarer first token")) with "
        + "\(Page.count($0.documents, "document"))."
    }
    return Page.section(
      "What identifiers begin with",
      "Each field is a first token, as large as its documents are many; inside it are the second "
        + "tokens." + (rest ?? ""),
      Page.treeMap(shown) + Page.bars(steps))
  }

  private var bucketsSection: String {
    let items = largestBuckets.map { bucket in
      let names = bucket.examples.map { example in
        let title = example.title ?? ""
        return "<li>\(Page.escaped(title.isEmpty ? example.id : title))</li>"
      }
      let more = bucket.documents - bucket.examples.count
      return """
        <article><h3>\(bucket.identifier.map { "<b>\(Page.escaped(Page.bare($0)))</b>" }.joined(separator: " "))
        <span>\(Page.count(bucket.documents, "document"))</span></h3>
        <ul>\(names.joined())\(more > 0 ? "<li class=\"more\">and \(Page.grouped(more)) more</li>" : "")</ul>
        </article>
        """
    }
    return Page.section(
      "The fullest buckets", "Documents that only their weights tell apart.",
      "<div class=\"buckets\">\(items.joined(separator: "\n"))</div>")
  }

  private var lengthSection: String {
    let bars = documentsByWordCount.enumerated().map { index, count in
      Page.Bar(
        label: index == 0 ? "1 word" : "\(index + 1) words", value: count,
        note: Page.percent(share(count)))
    }
    return Page.section(
      "How many words an identifier has",
      "A piece without a space before it goes on with the word that came before.", Page.bars(bars))
  }

  private var segmentsSection: String {
    let bars = documentsBySegment.enumerated().map { index, count in
      Page.Bar(
        label: "Segment \(index + 1)", value: count, note: Page.count(count, "document"))
    }
    return Page.section(
      "Documents by segment", "Compacting the index makes one segment of them.", Page.bars(bars))
  }

  private func share(_ count: Int) -> Double { Double(count) / Double(max(documents, 1)) }
}
