import GLENText

/// Reads questions: all that a ``Retriever`` needs of a model.
///
/// ``ModelFolder`` is the one that has learned something. An app's tests need none: they conform a
/// type of their own, or let a closure answer, as ``Retriever/init(answeringFrom:configuration:_:)``
/// does.
public protocol QueryScoring: Sendable {
  /// The scores of some questions, in their order.
  ///
  /// It is called from threads of the retriever's own, never from two at once for questions that
  /// were batched.
  ///
  /// - Throws: Whatever is wrong; each caller whose question was among these receives it.
  func scores(of questions: [String]) throws -> [QueryScores]

  /// The word that stands for a token in a hit's identifier; by default the token's number.
  func piece(_ token: Int32) -> String
}

extension QueryScoring {
  /// The token's number.
  public func piece(_ token: Int32) -> String { String(token) }
}

extension ModelFolder: QueryScoring {
  /// The scores of questions, which are cleaned, cut to the model's limit and encoded together.
  ///
  /// - Throws: `IndexError.invalidScores` if the model's weights are not numbers; `TensorError`.
  public func scores(of questions: [String]) throws -> [QueryScores] {
    try generator.scores(of: questions.map(tokens(ofQuery:)))
  }

  /// The piece of a token, `▁` for a space.
  public func piece(_ token: Int32) -> String { tokenizer.piece(token) }
}
