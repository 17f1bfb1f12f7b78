import GLENPlatform

/// What can go wrong when a vocabulary is loaded, trained or saved.
///
/// `description` reads "operation: what is wrong; expected ..., got ...; what to do".
public enum TokenizerError: Error, Sendable, Equatable {
  /// A model file is missing or cannot be read.
  case unreadable(path: String, reason: String)
  /// Bytes that are no SentencePiece model, or a damaged one.
  case invalidModel(reason: String)
  /// A model whose pad, end-of-sequence and unknown ids are not 0, 1 and 2 (-1: it has none).
  case unsupportedLayout(pad: Int, endOfSequence: Int, unknown: Int)
  /// An argument outside its range.
  case invalidArgument(name: String, expected: String, got: String)
  /// A corpus without a single letter or digit.
  case emptyCorpus(sentenceCount: Int)
  /// SentencePiece could not train on this corpus with these settings.
  case trainingFailed(reason: String)
  /// A model file cannot be written.
  case unwritable(path: String, reason: String)
}

extension TokenizerError: CustomStringConvertible {
  /// The message, one line.
  public var description: String {
    switch self {
    case .unreadable(let path, let reason):
      "load tokenizer: \(path) cannot be read (\(reason)); expected a SentencePiece model, got no "
        + "bytes; check the path and its permissions"
    case .invalidModel(let reason):
      "load tokenizer: \(reason); expected a serialised SentencePiece model, got bytes that are "
        + "none; take an intact spiece.model or train one"
    case .unsupportedLayout(let pad, let endOfSequence, let unknown):
      "load tokenizer: the special pieces lie elsewhere; expected pad 0, end of sequence 1, "
        + "unknown 2, got \(pad), \(endOfSequence), \(unknown); use a T5 vocabulary or train one"
    case .invalidArgument(let name, let expected, let got):
      "tokenizer argument \(name): the value is out of range; expected \(expected), got \(got); "
        + "change \(name)"
    case .emptyCorpus(let sentenceCount):
      "train tokenizer: the corpus holds no text; expected letters or digits, got "
        + "\(sentenceCount) sentences without any; give it text"
    case .trainingFailed(let reason):
      "train tokenizer: SentencePiece refused; expected a corpus and a vocabulary size that fit, "
        + "got \"\(reason)\"; change the vocabulary size, the coverage or the corpus"
    case .unwritable(let path, let reason):
      "save tokenizer: \(path) cannot be written (\(reason)); expected a writable folder, got an "
        + "error; check the folder, its permissions and the free space"
    }
  }
}

extension TokenizerError: LocalizedError {
  /// What `localizedDescription` says, which apps show.
  public var errorDescription: String? { description }
}
