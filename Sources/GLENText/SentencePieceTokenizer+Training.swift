import CGLENSentencePiece
import GLENPlatform

extension SentencePieceTokenizer {
  /// The largest vocabulary that can be trained.
  ///
  /// SentencePiece starts from no more candidates.
  public static let largestTrainedVocabulary = 1_000_000

  /// Trains a unigram vocabulary on a corpus and writes it to a file.
  ///
  /// The layout is T5's: pad 0, end of sequence 1, unknown 2, no beginning of sequence, no bytes;
  /// text is normalised by SentencePiece's `nmt_nfkc`. The ten digits always are pieces. The same
  /// sentences in the same order give the same model: training runs in one thread.
  ///
  /// The file is replaced in one step, when the model is complete; before that, nothing changes.
  ///
  /// - Parameters:
  ///   - sentences: Lines, paragraphs or whole documents. All of them are held in memory.
  ///   - vocabularySize: The number of pieces to aim for, the special pieces counted. A corpus too
  ///     small to support it gives fewer: see ``pieceCount`` of the result.
  ///   - url: Where the model goes.
  ///   - lowercased: Whether the model folds case (`nmt_nfkc_cf`): small vocabularies gain by it.
  ///   - characterCoverage: The share of the corpus's characters, 0.98 to 1, that must be pieces;
  ///     the rarest others stay unknown.
  ///   - sentinelCount: The number of sentinels of the tokenizer that is returned.
  /// - Returns: The tokenizer, loaded from the new model.
  /// - Throws: ``TokenizerError`` where an argument is out of range, the corpus holds no letter and
  ///   no digit, the vocabulary size is below the number of characters to cover, or the file cannot
  ///   be written.
  /// - Complexity: About O(length log length) on natural text; a megabyte takes seconds. Text that
  ///   repeats itself takes up to some thousand times its length.
  @discardableResult
  public static func train(
    sentences: some Sequence<String>, vocabularySize: Int, to url: URL, lowercased: Bool = false,
    characterCoverage: Double = 0.9995, sentinelCount: Int = 0
  ) throws(TokenizerError) -> SentencePieceTokenizer {
    guard (1...largestTrainedVocabulary).contains(vocabularySize) else {
      throw .invalidArgument(
        name: "vocabularySize", expected: "1 to \(largestTrainedVocabulary)",
        got: String(vocabularySize))
    }
    guard (0.98...1).contains(characterCoverage) else {
      throw .invalidArgument(
        name: "characterCoverage", expected: "0.98 to 1", got: String(characterCoverage))
    }
    let options = glen_sp_training_options(
      vocabulary_size: Int32(vocabularySize), threads: 1, character_coverage: characterCoverage,
      lowercased: lowercased)
    let data = try trainedModel(on: sentences, options: options)
    let tokenizer = try SentencePieceTokenizer(model: data, sentinelCount: sentinelCount)
    do {
      try data.write(to: url, options: .atomic)
    } catch {
      throw .unwritable(path: url.path, reason: error.reason)
    }
    return tokenizer
  }

  /// The most bytes of a text that the trainer is given as one.
  static let longestPart = 8192

  /// A text in parts that the trainer takes one by one, since its time grows with the square of what repeats
  /// itself.
  ///
  /// Cut at spaces, across which no piece reaches, so that the pieces hardly differ; where there are none, between
  /// any two characters.
  static func parts(of bytes: UnsafeBufferPointer<UInt8>) -> [Range<Int>] {
    var parts: [Range<Int>] = []
    var first = 0
    while bytes.count - first > longestPart {
      let end = first + longestPart
      if let space = bytes[first + 1..<end].lastIndex(of: UInt8(ascii: " ")) {
        parts.append(first..<space)
        first = space + 1
      } else {
        var cut = end
        // Not within a character's bytes.
        while cut > first + 1, bytes[cut] & 0xC0 == 0x80 { cut -= 1 }
        parts.append(first..<cut)
        first = cut
      }
    }
    return parts + [first..<bytes.count]
  }

  private static func trainedModel(
    on sentences: some Sequence<String>, options: glen_sp_training_options
  ) throws(TokenizerError) -> Data {
    guard let corpus = glen_sp_corpus_create() else {
      throw .trainingFailed(reason: "out of memory")
    }
    defer { glen_sp_corpus_destroy(corpus) }
    var sentenceCount = 0
    var hasText = false
    for var sentence in sentences {
      sentenceCount += 1
      // The trainer ends the process when nothing is left after normalisation: look beforehand.
      hasText =
        hasText
        || sentence.unicodeScalars.contains {
          $0.properties.isAlphabetic || $0.properties.numericType != nil
        }
      let isAdded = sentence.withUTF8 { bytes in
        parts(of: bytes).allSatisfy { part in
          UnsafeBufferPointer(rebasing: bytes[part]).withMemoryRebound(to: CChar.self) {
            glen_sp_corpus_add(corpus, $0.baseAddress, $0.count) == GLEN_SP_OK
          }
        }
      }
      guard isAdded else { throw .trainingFailed(reason: "out of memory") }
    }
    guard hasText else { throw .emptyCorpus(sentenceCount: sentenceCount) }

    var bytes: UnsafeMutableRawPointer?
    var length = 0
    var message: UnsafeMutablePointer<CChar>?
    let status = glen_sp_train(corpus, options, &bytes, &length, &message)
    guard status == GLEN_SP_OK, let bytes else {
      throw .trainingFailed(reason: takeMessage(message))
    }
    defer { glen_sp_free(bytes) }
    return Data(bytes: bytes, count: length)
  }
}
