/// How documents that share an identifier are put in order.
public enum CollisionOrder: Sendable, Equatable {
  /// By the cosine of the query's and the document's weights, as in Equation (9) of the paper.
  case ranked

  /// In an order that depends on nothing but the seed: the paper's ablation in Table 5.
  ///
  /// Give each query its own seed where the orders must not depend on one another.
  case shuffled(seed: UInt64)
}
