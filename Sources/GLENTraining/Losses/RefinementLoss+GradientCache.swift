import GLENModel
import GLENTensor

extension RefinementLoss {
  /// How many texts go through the network at once; 0 is all of them.
  ///
  /// The memory of a step then grows with the chunk and not with the batch.
  public struct Chunks: Sendable, Equatable {
    /// Queries of a chunk.
    public var queries = 0
    /// Documents of a chunk.
    public var documents = 0

    /// Chunks of given sizes, of queries alone and of documents alone.
    public init(queries: Int = 0, documents: Int = 0) {
      (self.queries, self.documents) = (queries, documents)
    }
  }

  /// The losses of a batch and the gradients of their total.
  ///
  /// With chunks, by a gradient cache (Gao et al., "Scaling Deep Contrastive Learning Batch Size
  /// under Memory Limited Setup", 2021): first all states without a tape; then the losses and their
  /// gradients with respect to the states and the table; then, chunk by chunk, the states again,
  /// with a tape that takes those gradients back to the parameters. The losses see the whole batch
  /// at once, and masks of dropout follow from a text's place in it, so both ways have the same
  /// result up to rounding. A chunked step computes each state twice.
  ///
  /// - Parameters: as `parts`; the model is untracked.
  /// - Throws: `ModelError.input`, `TensorError`.
  public func gradients(
    of model: T5Model, queries: [[Int32]], documents: [[Int32]], settings: IdentifierSettings,
    mask: Tensor, dropout: Dropout = .none, chunks: Chunks = Chunks()
  ) throws -> (parts: Parts, gradients: Gradients) {
    guard chunks != Chunks() else {
      return try partsAndGradients(of: model) {
        try self.parts(
          $0, queries: queries, documents: documents, settings: settings, mask: mask,
          dropout: dropout)
      }
    }
    try Self.requireShares(queries, documents)
    let places = Self.places(queries, documents, chunks: chunks)
    func states(_ model: T5Model, _ place: Place) throws -> Tensor {
      var dropout = dropout
      (dropout.tokensBefore, dropout.sequencesBefore) = (place.tokensBefore, place.sequencesBefore)
      let batch = try TokenBatch(
        place.texts, vocabularySize: model.configuration.vocabularySize, on: model.backend)
      return try model.rollout(  // [texts, n, width]
        batch, steps: settings.identifierLength, feedback: Self.feedback(settings, mask: mask),
        dropout: dropout)
    }

    let cached = try places.map { try states(model, $0) }
    let queryPlaces = places.count { $0.sequencesBefore < queries.count }
    let (parts, ofStates) = try partsAndGradients(of: [model.table] + cached) { leaves in
      try self.parts(
        queryStates: joined(Array(leaves[1...queryPlaces])),
        documentStates: joined(Array(leaves[(queryPlaces + 1)...])), table: leaves[0],
        scale: model.configuration.headScale, mask: mask)
    }
    var gradients = Gradients()
    gradients[T5Model.tableName] = ofStates["0"]
    for (index, place) in places.enumerated() {
      guard let seed = ofStates[String(index + 1)] else { continue }
      let (_, pullback) = try valueWithPullback(of: model) { [try states($0, place)] }
      try pullback([seed], addingTo: &gradients)
    }
    return (parts, gradients)
  }

  /// One chunk: its texts, and what of the batch comes before them.
  private struct Place {
    var texts: [[Int32]]
    var tokensBefore: Int, sequencesBefore: Int
  }

  /// The chunks in the order of the whole batch: the queries, then the documents.
  private static func places(
    _ queries: [[Int32]], _ documents: [[Int32]], chunks: Chunks
  ) -> [Place] {
    var places: [Place] = []
    var (tokens, sequences) = (0, 0)
    for (texts, size) in [(queries, chunks.queries), (documents, chunks.documents)] {
      for first in stride(from: 0, to: texts.count, by: size > 0 ? size : texts.count) {
        let part = Array(texts[first...].prefix(size > 0 ? size : texts.count))
        places.append(Place(texts: part, tokensBefore: tokens, sequencesBefore: sequences))
        tokens += part.reduce(0) { $0 + $1.count }
        sequences += part.count
      }
    }
    return places
  }

  private func partsAndGradients<Model: ParameterContainer>(
    of model: Model, _ body: (Model) throws -> Parts
  ) throws -> (parts: Parts, gradients: Gradients) {
    var found: Parts?
    let (total, gradients) = try valueAndGradient(of: model) {
      let parts = try body($0)
      found = parts
      return parts.total
    }
    guard var parts = found else { throw ModelError.input(reason: "no losses were computed") }
    // Without the tape, whose last pullback has run.
    parts.total = total
    return (parts, gradients)
  }
}
