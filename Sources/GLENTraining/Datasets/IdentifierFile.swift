import GLENIndex
import GLENPlatform
import GLENTensor
import GLENText

/// The identifiers of a corpus in the text file of the paper's authors.
///
/// A line a document, columns between single tabs, no header:
///
/// ```
/// document   piece<->piece<->piece   logit<->logit<->logit   text
/// ```
///
/// The pieces are the vocabulary's own, `▁` for a space; the logits are the document's weights. The
/// fourth column and all behind it are for people, and are not read.
public struct IdentifierFile: Sendable, Equatable {
  /// One document's identifier.
  public struct Row: Sendable, Equatable {
    /// The document's own name.
    public var id: String
    /// The n tokens.
    public var tokens: [Int32]
    /// The document's own logit at each of them.
    public var weights: [Float]

    /// Creates a row.
    public init(id: String, tokens: [Int32], weights: [Float]) {
      self.id = id
      self.tokens = tokens
      self.weights = weights
    }
  }

  /// What joins pieces, and logits.
  private static let separator = "<->"

  /// The documents in the order of the file: at least one, all with identifiers of one length.
  public let rows: [Row]

  /// Reads a file, plain or gzip-compressed.
  ///
  /// Every line must have at least three columns, a new document's name, a piece of the vocabulary
  /// and a finite logit at every place, and as many of both as the first line; an empty line is
  /// passed over.
  ///
  /// - Throws: `TrainingError`, with file and line where a line is at fault.
  public init(contentsOf url: URL, tokenizer: SentencePieceTokenizer) throws(TrainingError) {
    guard FileManager.default.fileExists(atPath: url.path) else {
      throw .fileNotFound(
        path: url.path, expected: "lines of 'document <tab> pieces <tab> logits', joined by <->")
    }
    var tokens: [ExactText: Int32] = [:]
    var rows: [Row] = []
    var names: Set<ExactText> = []
    var file = DatasetFile(url, malformedLineLimit: 0)
    try file.forEachRow { line, _ throws(LineProblem) in
      let row = try Self.row(of: line) { piece in
        let key = ExactText(piece)
        if let token = tokens[key] { return token }
        tokens[key] = tokenizer.token(forPiece: piece)
        return tokens[key]
      }
      if let first = rows.first, first.tokens.count != row.tokens.count {
        throw LineProblem(
          expected: "\(first.tokens.count) tokens, as in the first line",
          got: "\(row.tokens.count)")
      }
      return row
    } _: { row, number throws(TrainingError) in
      guard names.insert(ExactText(row.id)).inserted else {
        throw .duplicateIdentifier(path: url.path, line: number, identifier: row.id)
      }
      rows.append(row)
    }
    guard !rows.isEmpty else {
      throw .emptyFile(path: url.path, expected: "at least one document with its identifier")
    }
    self.rows = rows
  }

  private static func row(
    of line: [UInt8], token: (String) -> Int32?
  ) throws(LineProblem) -> Row {
    // A line without a tab would be split at spaces.
    let columns = line.contains(0x09) ? try LineColumns.tabbed(line) : [""]
    guard columns.count >= 3, !columns[0].isEmpty else {
      throw LineProblem(
        expected: "'document <tab> pieces <tab> logits'",
        got: columns.count < 3 ? "\(columns.count) of them" : "no document")
    }
    var tokens: [Int32] = []
    for piece in columns[1].components(separatedBy: separator) {
      guard let token = token(piece) else {
        throw LineProblem(expected: "pieces of the model's vocabulary", got: "'\(piece)'")
      }
      tokens.append(token)
    }
    var weights: [Float] = []
    for number in columns[2].components(separatedBy: separator) {
      guard let weight = Float(number), weight.isFinite else {
        throw LineProblem(expected: "finite logits in the third column", got: "'\(number)'")
      }
      weights.append(weight)
    }
    guard tokens.count == weights.count else {
      throw LineProblem(
        expected: "\(tokens.count) logits, one for each piece", got: "\(weights.count)")
    }
    return Row(id: columns[0], tokens: tokens, weights: weights)
  }

  /// The tokens and weights of documents, `[documents, n]` in row-major order each.
  ///
  /// - Throws: `TrainingError.missingIdentifier` if a document has no row, `.trainingData` if a row has no document.
  public func identifiers(
    of documents: [Document]
  ) throws(TrainingError) -> (tokens: [Int32], weights: [Float]) {
    let places = Dictionary(
      uniqueKeysWithValues: rows.enumerated().map { (ExactText($1.id), $0) })
    var tokens: [Int32] = []
    var weights: [Float] = []
    for document in documents {
      guard let place = places[ExactText(document.id)] else {
        throw .missingIdentifier(document: document.id)
      }
      tokens += rows[place].tokens
      weights += rows[place].weights
    }
    let known = Set(documents.map { ExactText($0.id) })
    if let row = rows.first(where: { !known.contains(ExactText($0.id)) }) {
      throw .trainingData(
        reason: "the identifier of '\(row.id)' belongs to no document; expected the documents of "
          + "the corpus, got another; give the corpus that the file was made of")
    }
    return (tokens, weights)
  }

  /// Writes the identifiers of an index in document order, with the titles as the fourth column.
  ///
  /// Logits are written with as many digits as give the same number back. (The authors round them
  /// to four places.) Tabs and line breaks in a title become spaces; names have none.
  ///
  /// - Throws: `TrainingError.unwritableFile`.
  public static func write(
    _ index: IndexSnapshot, tokenizer: some Tokenizer, to url: URL
  ) throws(TrainingError) {
    do {
      try AtomicFile.write(to: url) { append in
        for document in 0..<index.documentCount where index.isLiving(document) {
          let tokens = index.tables.tokens(ofDocument: document)
          let title = (index.title(ofDocument: document) ?? "").utf8
            .map { Self.endsColumn($0) ? UInt8(ascii: " ") : $0 }
          var line =
            [
              index.id(ofDocument: document),
              tokens.map(tokenizer.piece).joined(separator: separator),
              index.tables.weights(ofDocument: document).map { "\($0)" }.joined(
                separator: separator),
              String(decoding: title, as: UTF8.self),
            ].joined(separator: "\t") + "\n"
          try line.withUTF8 { try append(UnsafeRawBufferPointer($0)) }
        }
      }
    } catch TensorError.file(_, let reason) {
      throw .unwritableFile(path: url.path, reason: reason)
    } catch {
      throw .unwritableFile(path: url.path, reason: String(describing: error))
    }
  }

  /// Whether a byte is a tab or a line break.
  private static func endsColumn(_ byte: UInt8) -> Bool {
    byte == 0x09 || byte == 0x0A || byte == 0x0D
  }
}
