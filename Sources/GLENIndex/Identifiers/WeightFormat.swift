/// How the documents' weights are stored.
public enum WeightFormat: String, Sendable, Equatable, CaseIterable {
  /// 4 bytes a weight: what the model computed, to the last bit.
  case float32

  /// 2 bytes a weight: 11 significant bits, up to 65,504.
  ///
  /// Weights only rank the documents of one identifier, by a cosine, so little depends on the rest.
  case float16

  /// Bytes a weight.
  var width: Int { self == .float32 ? 4 : 2 }

  /// The format of a width, if there is one.
  init?(width: Int) {
    switch width {
    case 4: self = .float32
    case 2: self = .float16
    default: return nil
    }
  }
}
