import GLENPlatform

/// Picks each document's keywords: the pieces of largest BM25 weight.
///
/// Equation (4) of the paper. A piece's weight in a document is
/// `idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * length / average length))`, where `idf` is
/// ``BM25Index``'s and every piece counts to the length. Pieces without a letter, bytes, and special
/// tokens, are no keywords.
public struct KeywordExtractor: Sendable {
  /// How many pieces of a document the paper reads.
  public static let defaultPieceLimit = 156

  /// The number of documents.
  public var documentCount: Int { documents.count }

  private enum Kind: UInt8 {
    case special
    case withoutLetter
    case keyword
  }

  private let documents: [[Int32]]
  private let kinds: [Kind]
  private let weights: [Double]
  private let k1: Double
  private let b: Double
  private let averageLength: Double
  /// Pieces of nothing but ASCII digits, shorter ones first, then smaller numbers.
  private let numbers: [Int32]

  /// Counts the pieces of a corpus.
  ///
  /// - Parameters:
  ///   - documents: The pieces of each document's lower-cased text, its first 156, without an end
  ///     of sequence: see ``pieces(title:text:tokenizer:limit:)``.
  ///   - tokenizer: The vocabulary of the pieces.
  ///   - k1: How slowly a repeated piece saturates; 100 makes the weight nearly tf-idf.
  ///   - b: How much a document's length counts, 0 to 1.
  /// - Complexity: O(number of pieces + vocabulary).
  public init(
    documents: [[Int32]], tokenizer: some Tokenizer, k1: Float = 100, b: Float = 0.75
  ) {
    let kinds = (0..<Int32(clamping: tokenizer.vocabularySize)).map { token -> Kind in
      if tokenizer.isSpecial(token) { return .special }
      let piece = tokenizer.piece(token)
      return piece.unicodeScalars.contains(where: Self.isLetter) && !Self.isByte(piece)
        ? .keyword : .withoutLetter
    }
    var frequencies = [Int](repeating: 0, count: kinds.count)
    for document in documents {
      for token in Set(document) where kinds.indices.contains(Int(token)) {
        frequencies[Int(token)] += 1
      }
    }
    weights = frequencies.map { Double(BM25Index.inverseFrequency($0, of: documents.count)) }
    let total = documents.reduce(0) { $0 + $1.count }
    averageLength = max(1, Double(total)) / Double(max(1, documents.count))
    numbers = kinds.indices
      .filter { kinds[$0] == .withoutLetter }
      .map { (token: Int32($0), text: tokenizer.piece(Int32($0))) }
      .filter { $0.text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } }
      .sorted { ($0.text.utf8.count, $0.text) < ($1.text.utf8.count, $1.text) }
      .map(\.token)
    self.documents = documents
    self.kinds = kinds
    self.k1 = Double(k1)
    self.b = Double(b)
  }

  /// Tokenises a corpus of titles and texts and counts its pieces.
  ///
  /// - Parameters:
  ///   - texts: Each document's title and text.
  ///   - tokenizer: The vocabulary.
  ///   - pieceLimit: How many pieces of a document to read.
  ///   - k1: How slowly a repeated piece saturates.
  ///   - b: How much a document's length counts, 0 to 1.
  public init(
    texts: some Sequence<(title: String, text: String)>, tokenizer: some Tokenizer,
    pieceLimit: Int = defaultPieceLimit, k1: Float = 100, b: Float = 0.75
  ) {
    let documents = texts.map {
      Self.pieces(title: $0.title, text: $0.text, tokenizer: tokenizer, limit: pieceLimit)
    }
    self.init(documents: documents, tokenizer: tokenizer, k1: k1, b: b)
  }

  /// The pieces in which a document's keywords are sought: those that its lower-cased, cleaned
  /// title and text begin with, without an end of sequence.
  public static func pieces(
    title: String, text: String, tokenizer: some Tokenizer, limit: Int = defaultPieceLimit
  ) -> [Int32] {
    let document = TextCleaning.documentText(title: title, body: text)
    return tokenizer.encodePrefix(TextCleaning.clean(document).lowercased(), limit: limit)
  }

  /// The keywords of a document of the corpus; none for a number outside it.
  ///
  /// See ``keywords(for:count:)``.
  public func keywords(of document: Int, count: Int) -> [Int32] {
    guard documents.indices.contains(document) else { return [] }
    return keywords(for: documents[document], count: count)
  }

  /// The `count` best keywords of a sequence of pieces, best first.
  ///
  /// Equal weights come by first position.
  ///
  /// The result always has `count` tokens. Where there are fewer distinct keywords, the document's
  /// pieces without a letter follow in the same order, then the last token is repeated; a document
  /// without any usable piece gets the vocabulary's first keyword. (Only a vocabulary of nothing
  /// but special tokens gives an empty result.)
  ///
  /// - Complexity: O(number of pieces, sorted).
  public func keywords(for pieces: [Int32], count: Int) -> [Int32] {
    guard count > 0 else { return [] }
    var result = ranked(pieces).prefix(count).map { $0 }
    let filler =
      result.last
      ?? (kinds.firstIndex(of: .keyword) ?? kinds.firstIndex(of: .withoutLetter)).map(Int32.init)
    while result.count < count, let filler { result.append(filler) }
    return result
  }

  /// The keywords of every document, told apart where they are equal: the targets of phase 1.
  ///
  /// Documents with equal keywords get one number piece appended (`0`, `1`, ... in the order of the
  /// documents, so they have `count + 1` tokens); all others have `count` tokens. Where more
  /// documents are equal than the vocabulary has numbers, the numbers start over; a vocabulary
  /// without numbers appends none. No end of sequence is appended.
  ///
  /// - Complexity: O(number of pieces, sorted document by document).
  public func keywordTargets(count: Int) -> [[Int32]] {
    var targets = documents.map { keywords(for: $0, count: count) }
    guard !numbers.isEmpty else { return targets }
    var groupSizes: [[Int32]: Int] = [:]
    for target in targets { groupSizes[target, default: 0] += 1 }
    var used: [[Int32]: Int] = [:]
    for document in targets.indices {
      let target = targets[document]
      guard let size = groupSizes[target], size > 1 else { continue }
      let position = used[target, default: 0]
      used[target] = position + 1
      targets[document].append(numbers[position % numbers.count])
    }
    return targets
  }

  /// The distinct pieces that may be keywords, best first, then those without a letter.
  private func ranked(_ pieces: [Int32]) -> [Int32] {
    struct Candidate {
      var token: Int32
      var frequency: Double
      var weight: Double
    }
    var candidates: [Candidate] = []  // in the order of their first positions
    var positions: [Int32: Int] = [:]
    for token in pieces where kinds.indices.contains(Int(token)) && kinds[Int(token)] != .special {
      if let position = positions[token] {
        candidates[position].frequency += 1
      } else {
        positions[token] = candidates.count
        candidates.append(Candidate(token: token, frequency: 1, weight: 0))
      }
    }
    let lengthFactor = k1 * (1 - b + b * Double(pieces.count) / averageLength)
    for position in candidates.indices {
      let frequency = candidates[position].frequency
      let idf = weights[Int(candidates[position].token)]
      candidates[position].weight = idf * frequency * (k1 + 1) / (frequency + lengthFactor)
    }
    let order = candidates.indices.sorted { first, second in
      let kinds = (
        self.kinds[Int(candidates[first].token)].rawValue,
        self.kinds[Int(candidates[second].token)].rawValue
      )
      if kinds.0 != kinds.1 { return kinds.0 > kinds.1 }
      let weights = (candidates[first].weight, candidates[second].weight)
      return weights.0 == weights.1 ? first < second : weights.0 > weights.1
    }
    return order.map { candidates[$0].token }
  }

  /// Whether a piece is a byte of a character that the vocabulary lacks, as SentencePiece writes it: `<0xE4>`.
  private static func isByte(_ piece: String) -> Bool {
    let bytes = Array(piece.utf8)
    return bytes.count == 6 && piece.hasPrefix("<0x") && piece.hasSuffix(">")
      && bytes[3..<5].allSatisfy {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
          || (UInt8(ascii: "A")...UInt8(ascii: "F")).contains($0)
      }
  }

  private static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
    default: false
    }
  }
}
