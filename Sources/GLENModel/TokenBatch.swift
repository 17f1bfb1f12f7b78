import GLENTensor

/// Token sequences of a batch, end to end, checked against a vocabulary.
public struct TokenBatch: Sendable {
  /// All ids.
  public let tokens: TokenIDs
  /// Where each sequence begins.
  public let offsets: SequenceOffsets

  /// Packs sequences.
  ///
  /// - Throws: `ModelError.input` for no sequences, an empty one, or an id outside the vocabulary;
  ///   `TensorError.outOfMemory`.
  public init(
    _ sequences: [[Int32]], vocabularySize: Int, on backend: any Backend = CPUBackend.shared
  ) throws {
    try Self.check(sequences, vocabularySize: vocabularySize)
    offsets = try SequenceOffsets(lengths: sequences.map(\.count), on: backend)
    tokens = try TokenIDs(Array(sequences.joined()), on: backend)
  }

  /// - Throws: `ModelError.input` for no sequences, an empty one, or an id outside the vocabulary.
  static func check(_ sequences: [[Int32]], vocabularySize: Int) throws(ModelError) {
    guard !sequences.isEmpty else { throw ModelError.input(reason: "a batch has no sequences") }
    for (index, sequence) in sequences.enumerated() {
      guard !sequence.isEmpty else {
        throw ModelError.input(reason: "sequence \(index) is empty; it needs at least an end token")
      }
      if let wrong = sequence.first(where: { $0 < 0 || Int($0) >= vocabularySize }) {
        throw ModelError.input(
          reason: "sequence \(index) has the token \(wrong); the vocabulary ends at "
            + "\(vocabularySize - 1): is this the model's tokenizer?")
      }
    }
  }

  /// The number of sequences.
  public var count: Int { offsets.count }
}
