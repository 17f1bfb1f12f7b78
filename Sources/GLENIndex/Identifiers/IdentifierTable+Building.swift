extension IdentifierTable {
  /// Builds the table from one identifier per document.
  ///
  /// - Parameters:
  ///   - identifiers: For each document its n tokens.
  ///   - weights: The documents' own logits at those tokens, `[documents, n]` in row-major order.
  ///   - identifierLength: The paper's n, at least 1.
  ///   - vocabularySize: The size of the model's vocabulary, or nil for the largest token plus one.
  /// - Throws: ``IndexError/invalidIdentifiers(_:)`` if an identifier has another length, a token is
  ///   negative or outside the vocabulary, or a weight is not finite.
  /// - Complexity: O(documents * n + n * vocabulary).
  public init(
    identifiers: [[Int32]], weights: [Float], identifierLength: Int, vocabularySize: Int? = nil
  ) throws(IndexError) {
    for (document, identifier) in identifiers.enumerated()
    where identifier.count != identifierLength {
      throw .invalidIdentifiers(
        "build identifier table: document \(document) has an identifier of another length; "
          + "expected \(identifierLength) tokens, got \(identifier.count); "
          + "give every document exactly \(identifierLength)")
    }
    try self.init(
      identifiers: identifiers.flatMap { $0 }, weights: weights,
      identifierLength: identifierLength, vocabularySize: vocabularySize)
  }

  /// Builds the table from all identifiers in one array.
  ///
  /// - Parameters:
  ///   - identifiers: The documents' tokens, `[documents, n]` in row-major order.
  ///   - weights: The documents' own logits at those tokens, laid out in the same way.
  ///   - identifierLength: The paper's n, at least 1.
  ///   - vocabularySize: The size of the model's vocabulary, or nil for the largest token plus one.
  /// - Throws: ``IndexError/invalidIdentifiers(_:)`` if the arrays do not divide into documents, a
  ///   token is negative or outside the vocabulary, or a weight is not finite.
  /// - Complexity: O(documents * n + n * vocabulary).
  public init(
    identifiers: [Int32], weights: [Float], identifierLength: Int, vocabularySize: Int? = nil
  ) throws(IndexError) {
    let vocabulary = try Self.checkedVocabulary(
      identifiers: identifiers, weights: weights, identifierLength: identifierLength,
      vocabularySize: vocabularySize)
    let codes = LevelCodes(
      identifiers: identifiers, identifierLength: identifierLength, vocabularySize: vocabulary)
    let order = codes.sortedDocuments()
    let starts = codes.bucketStarts(of: order)
    guard
      let layout = IdentifierLayout(
        documentCount: codes.documentCount, identifierCount: starts.count,
        identifierLength: identifierLength, vocabularySize: vocabulary,
        levelTokenCount: codes.tokens.count, codeWidth: codes.largestLevel <= 1 << 16 ? 2 : 4)
    else {
      throw .invalidIdentifiers(
        "build identifier table: there is too much of it; expected fewer than \(UInt32.max) "
          + "documents, got \(codes.documentCount); split the corpus")
    }
    let memory = IndexMemory(count: layout.length) { bytes in
      layout.writeHeader(to: bytes)
      codes.levelOffsets.withUnsafeBytes { bytes.store($0, at: layout.levelOffsets) }
      codes.tokens.withUnsafeBytes { bytes.store($0, at: layout.levelTokens) }
      for step in 0..<identifierLength {
        let column = starts.map { codes.codes[step * codes.documentCount + Int(order[$0])] }
        if layout.codeWidth == 2 {
          column.map { UInt16($0) }.withUnsafeBytes { bytes.store($0, at: layout.columns[step]) }
        } else {
          column.withUnsafeBytes { bytes.store($0, at: layout.columns[step]) }
        }
      }
      var rows = [UInt32](repeating: 0, count: codes.documentCount)
      for row in starts.indices {
        let end = row + 1 < starts.count ? starts[row + 1] : order.count
        for place in starts[row]..<end { rows[Int(order[place])] = UInt32(row) }
      }
      let offsets = starts.map { UInt32($0) } + [UInt32(order.count)]
      offsets.withUnsafeBytes { bytes.store($0, at: layout.bucketOffsets) }
      order.withUnsafeBytes { bytes.store($0, at: layout.members) }
      rows.withUnsafeBytes { bytes.store($0, at: layout.rows) }
      weights.withUnsafeBytes { bytes.store($0, at: layout.weights) }
    }
    try self.init(memory: memory, path: "the table in memory")
  }

  /// Checks all that users bring and returns the vocabulary's size.
  private static func checkedVocabulary(
    identifiers: [Int32], weights: [Float], identifierLength: Int, vocabularySize: Int?
  ) throws(IndexError) -> Int {
    let operation = "build identifier table"
    guard identifierLength >= 1, identifiers.count.isMultiple(of: max(identifierLength, 1)) else {
      throw .invalidIdentifiers(
        "\(operation): the tokens do not divide into identifiers; expected a multiple of a length "
          + "of at least 1, got \(identifiers.count) tokens and length \(identifierLength); "
          + "give every document the same number of tokens")
    }
    guard identifierLength <= IdentifierLayout.largestLength else {
      throw .invalidIdentifiers(
        "\(operation): the identifiers are too long; expected at most "
          + "\(IdentifierLayout.largestLength) tokens, got \(identifierLength); shorten them")
    }
    guard weights.count == identifiers.count else {
      throw .invalidIdentifiers(
        "\(operation): the weights do not match the tokens; expected \(identifiers.count) weights, "
          + "got \(weights.count); give one weight for each token")
    }
    guard weights.withUnsafeBufferPointer({ areFinite($0) }) else {
      let place = weights.firstIndex { !$0.isFinite } ?? 0
      throw .invalidIdentifiers(
        "\(operation): a weight of document \(place / identifierLength) is not finite; expected a "
          + "logit, got \(weights[place]); compute the document's identifier again")
    }
    let largest = Int(identifiers.max() ?? -1)
    let limit = vocabularySize ?? (largest + 1)
    guard limit >= 0, limit <= IdentifierLayout.largestVocabulary else {
      throw .invalidIdentifiers(
        "\(operation): the vocabulary is out of range; expected at most "
          + "\(IdentifierLayout.largestVocabulary) tokens, got \(limit); check the identifiers")
    }
    guard (identifiers.min() ?? 0) >= 0, largest < limit else {
      let place = identifiers.firstIndex { $0 < 0 || Int($0) >= limit } ?? 0
      throw .invalidIdentifiers(
        "\(operation): document \(place / identifierLength) has a token outside the vocabulary; "
          + "expected 0 to \(limit - 1), got \(identifiers[place]); check which model made it")
    }
    return limit
  }
}
