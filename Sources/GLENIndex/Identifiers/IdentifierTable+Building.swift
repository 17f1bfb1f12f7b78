extension IdentifierTable {
  /// Sorts documents by their identifiers and builds the table of them.
  ///
  /// - Parameters:
  ///   - identifiers: The documents' tokens, `[documents, n]` in row-major order.
  ///   - weights: The documents' own logits at those tokens, laid out in the same way.
  ///   - identifierLength: The paper's n, at least 1.
  ///   - vocabularySize: The size of the model's vocabulary, or nil for the largest token plus one.
  ///   - weightFormat: How the weights are stored.
  /// - Returns: The table, and for each of its documents the place in what was given. Documents with
  ///   the same identifier keep their order.
  /// - Throws: ``IndexError/invalidIdentifiers(_:)`` if the arrays do not divide into documents, a
  ///   token is negative or outside the vocabulary, or a weight is not finite or too large for its
  ///   format.
  /// - Complexity: O(documents * n + n * vocabulary).
  public static func sorting(
    identifiers: [Int32], weights: [Float], identifierLength: Int, vocabularySize: Int? = nil,
    weightFormat: WeightFormat = .float32
  ) throws(IndexError) -> (table: IdentifierTable, order: [Int]) {
    let vocabulary = try checkedVocabulary(
      identifiers: identifiers, weights: weights, identifierLength: identifierLength,
      vocabularySize: vocabularySize, weightFormat: weightFormat)
    let codes = LevelCodes(
      identifiers: identifiers, identifierLength: identifierLength, vocabularySize: vocabulary)
    let order = codes.sortedDocuments()
    let starts = codes.bucketStarts(of: order)
    guard
      let layout = IdentifierLayout(
        documentCount: codes.documentCount, identifierCount: starts.count,
        identifierLength: identifierLength, vocabularySize: vocabulary,
        levelTokenCount: codes.tokens.count, codeWidth: codes.largestLevel <= 1 << 16 ? 2 : 4,
        weightFormat: weightFormat)
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
      let offsets = starts.map { UInt32($0) } + [UInt32(order.count)]
      offsets.withUnsafeBytes { bytes.store($0, at: layout.bucketOffsets) }
      store(weights, of: order, to: bytes, layout)
    }
    return (
      try IdentifierTable(memory: memory, path: "the table in memory"), order.map { Int($0) }
    )
  }

  /// Writes the weights of the documents in their new order.
  private static func store(
    _ weights: [Float], of order: [UInt32], to bytes: UnsafeMutableRawBufferPointer,
    _ layout: IdentifierLayout
  ) {
    let n = layout.identifierLength
    let section = UnsafeMutableRawBufferPointer(
      rebasing: bytes[layout.weights.offset..<layout.weights.end])
    switch layout.weightFormat {
    case .float32:
      let target = section.assumingMemoryBound(to: Float.self)
      for (document, source) in order.enumerated() {
        for step in 0..<n { target[document * n + step] = weights[Int(source) * n + step] }
      }
    case .float16:
      let target = section.assumingMemoryBound(to: Float16.self)
      for (document, source) in order.enumerated() {
        for step in 0..<n { target[document * n + step] = Float16(weights[Int(source) * n + step]) }
      }
    }
  }

  /// Checks all that users bring and returns the vocabulary's size.
  private static func checkedVocabulary(
    identifiers: [Int32], weights: [Float], identifierLength: Int, vocabularySize: Int?,
    weightFormat: WeightFormat
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
    if let place = weights.firstIndex(where: { !$0.isFinite }) {
      throw .invalidIdentifiers(
        "\(operation): a weight of document \(place / identifierLength) is not finite; expected a "
          + "logit, got \(weights[place]); compute the document's identifier again")
    }
    if weightFormat == .float16, let place = weights.firstIndex(where: { Float16($0).isInfinite }) {
      throw .invalidIdentifiers(
        "\(operation): a weight of document \(place / identifierLength) is too large for float16; "
          + "expected at most 65504, got \(weights[place]); store the weights as float32")
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
