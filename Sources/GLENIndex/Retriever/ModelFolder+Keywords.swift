import GLENText

extension ModelFolder {
  /// The pieces by which keywords are searched: those of the whole text, lower-cased and cleaned.
  ///
  /// Special tokens are left out, unknown characters among them.
  public func keywords(of text: String) -> [Int32] {
    tokenizer.encode(TextCleaning.clean(text).lowercased()).filter { !tokenizer.isSpecial($0) }
  }
}
