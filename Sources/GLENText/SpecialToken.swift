/// The three token ids that T5 fixes for every vocabulary.
public enum SpecialToken {
  /// Padding, and the token that the decoder starts from.
  public static let pad: Int32 = 0
  /// The end of a sequence.
  public static let endOfSequence: Int32 = 1
  /// What the vocabulary cannot spell.
  public static let unknown: Int32 = 2
}
