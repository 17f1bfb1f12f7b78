import CGLENSentencePiece
import GLENPlatform

/// A T5 vocabulary: SentencePiece pieces followed by sentinels.
///
/// The ids of text are those of T5's own tokenizer. `sentinelCount` sentinels `<extra_id_k>` follow
/// the pieces, counted down: with T5's 32,000 pieces and 100 sentinels `<extra_id_0>` is 32099 and
/// `<extra_id_99>` is 32000. A model that holds sentinels as pieces of its own gets none added.
///
/// A loaded tokenizer is immutable; any number of tasks may use it at the same time.
public final class SentencePieceTokenizer: Tokenizer {
  /// The serialised model: written to a file, it is a `spiece.model` again.
  public let modelData: Data

  /// The number of pieces, without sentinels.
  public let pieceCount: Int

  /// The number of sentinels after the pieces.
  public let sentinelCount: Int

  /// Whether `<pad>`, `</s>`, `<unk>` and sentinels written in a text become those tokens.
  public let recognizesSpecialTokens: Bool

  /// The number of token ids: pieces and sentinels.
  public var vocabularySize: Int { pieceCount + sentinelCount }

  /// The model; SentencePiece promises that its const functions may run concurrently.
  nonisolated(unsafe) let model: OpaquePointer

  /// The ids of the tokens that may be written out in a text, by their UTF-8 names.
  let specialTokens: [[UInt8]: Int32]

  /// The length of the longest of those names.
  let longestSpecialToken: Int

  private let pieces: [String]
  private let specials: [Bool]

  /// Loads a vocabulary from a `spiece.model` file.
  ///
  /// - Parameters:
  ///   - url: A file that SentencePiece wrote.
  ///   - sentinelCount: The number of sentinels after the pieces: 100 for T5's own vocabulary.
  ///   - recognizesSpecialTokens: What `</s>`, `<extra_id_0>` and the like in a text mean. False
  ///     takes them as any other text, as SentencePiece does, so that no document can smuggle in an
  ///     end of sequence. True makes them tokens, as Hugging Face's tokenizers do.
  /// - Throws: ``TokenizerError`` where the file cannot be read, is no model or a damaged one, has
  ///   other special ids than ``SpecialToken``, or `sentinelCount` is out of range.
  public convenience init(
    contentsOf url: URL, sentinelCount: Int = 100, recognizesSpecialTokens: Bool = false
  ) throws(TokenizerError) {
    let data: Data
    do {
      data = try Data(contentsOf: url)
    } catch {
      throw .unreadable(path: url.path, reason: error.reason)
    }
    try self.init(
      model: data, sentinelCount: sentinelCount, recognizesSpecialTokens: recognizesSpecialTokens)
  }

  /// Loads a vocabulary from the bytes of a `spiece.model` file.
  ///
  /// - Parameters:
  ///   - data: A serialised SentencePiece model.
  ///   - sentinelCount: The number of sentinels after the pieces: 100 for T5's own vocabulary.
  ///   - recognizesSpecialTokens: Whether special tokens written in a text become tokens.
  /// - Throws: ``TokenizerError`` as ``init(contentsOf:sentinelCount:recognizesSpecialTokens:)``.
  public init(
    model data: Data, sentinelCount: Int = 100, recognizesSpecialTokens: Bool = false
  ) throws(TokenizerError) {
    guard (0...100_000).contains(sentinelCount) else {
      throw .invalidArgument(
        name: "sentinelCount", expected: "0 to 100000", got: String(sentinelCount))
    }
    let handle = try LoadedModel(data)
    let model = handle.pointer
    let layout = (glen_sp_pad_id(model), glen_sp_eos_id(model), glen_sp_unknown_id(model))
    guard layout == (SpecialToken.pad, SpecialToken.endOfSequence, SpecialToken.unknown) else {
      throw .unsupportedLayout(
        pad: Int(layout.0), endOfSequence: Int(layout.1), unknown: Int(layout.2))
    }

    var pieces = (0..<glen_sp_piece_count(model)).map { id in
      var length = 0
      let bytes = UnsafeRawBufferPointer(start: glen_sp_piece(model, id, &length), count: length)
      return String(decoding: bytes, as: UTF8.self)
    }
    var specials = pieces.indices.map { id in
      switch glen_sp_kind_of(model, Int32(id)) {
      case GLEN_SP_NORMAL, GLEN_SP_BYTE: Self.isSentinel(pieces[id])
      default: true
      }
    }
    pieceCount = pieces.count
    let hasOwnSentinels = pieces.contains(where: Self.isSentinel)
    self.sentinelCount = hasOwnSentinels ? 0 : sentinelCount
    for number in (0..<self.sentinelCount).reversed() {
      pieces.append("<extra_id_\(number)>")
      specials.append(true)
    }
    var names: [[UInt8]: Int32] = [:]
    if recognizesSpecialTokens {
      for (id, piece) in pieces.enumerated() where specials[id] && piece.hasPrefix("<") {
        names[Array(piece.utf8)] = Int32(id)
      }
    }
    specialTokens = names
    longestSpecialToken = names.keys.map(\.count).max() ?? 0
    modelData = data
    self.recognizesSpecialTokens = recognizesSpecialTokens
    self.pieces = pieces
    self.specials = specials
    self.model = handle.release()
  }

  deinit {
    glen_sp_close(model)
  }

  /// The piece of a token id, `▁` for a space; empty for an id outside the vocabulary.
  public func piece(_ token: Int32) -> String {
    pieces.indices.contains(Int(token)) ? pieces[Int(token)] : ""
  }

  /// The token id of a piece; nil for what is no piece and no sentinel.
  public func token(forPiece piece: String) -> Int32? {
    if let sentinel = pieces[pieceCount...].firstIndex(of: piece) { return Int32(sentinel) }
    var text = piece
    let id = text.withUTF8 { bytes in
      bytes.withMemoryRebound(to: CChar.self) { glen_sp_id(model, $0.baseAddress, $0.count) }
    }
    return id < 0 ? nil : id
  }

  /// Whether an id is pad, end of sequence, unknown, a sentinel, another control piece, or none.
  public func isSpecial(_ token: Int32) -> Bool {
    specials.indices.contains(Int(token)) ? specials[Int(token)] : true
  }

  /// Whether a piece is a sentinel; some models write it as a word.
  private static func isSentinel(_ piece: String) -> Bool {
    // As bytes: comparing the characters of all pieces takes longer than half of loading the model.
    piece.utf8.starts(with: "<extra_id_".utf8) || piece.utf8.starts(with: "▁<extra_id_".utf8)
  }
}
