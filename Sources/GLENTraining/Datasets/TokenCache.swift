import CGLENZlib
import GLENPlatform
import GLENTensor

/// Tokenised corpora on disk, so that a corpus is tokenised once for each vocabulary.
///
/// A file is found by checksums of the texts and the vocabulary, so that it never belongs to others.
/// All files may be deleted at any time; a damaged one is made again, and one that cannot be written
/// is done without.
public struct TokenCache: Sendable {
  private let folder: URL
  private let vocabulary: UInt64

  /// A cache in a folder, which is made when it is needed.
  ///
  /// - Parameter vocabulary: the bytes of the tokenizer's model.
  public init(folder: URL, vocabulary: Data) {
    self.folder = folder
    var checksum = TextChecksum()
    checksum.add("\(Self.rules)")
    vocabulary.withUnsafeBytes { checksum.add($0) }
    self.vocabulary = checksum.value
  }

  /// The tokens of texts: from the cache, or encoded now and kept.
  ///
  /// - Parameters:
  ///   - purpose: tells apart what is made of the same texts in different ways.
  ///   - encode: gives a text's tokens.
  /// - Complexity: Linear in the texts, which are read for their checksum in any case.
  func sequences(
    of texts: some Collection<String>, purpose: String, encode: (String) -> [Int32]
  ) -> TokenSequences {
    var checksum = TextChecksum()
    checksum.add(purpose)
    for text in texts { checksum.add(text) }
    let name = [checksum.value, vocabulary].map { String($0, radix: 16) }.joined(separator: "-")
    let url = folder.appendingPathComponent("tokens-\(name).bin")
    if let kept = read(url, content: checksum.value) { return kept }
    do {
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      try write(texts, content: checksum.value, to: url, encode)
      if let written = read(url, content: checksum.value) { return written }
    } catch {
      // A full disk, say: the tokens are then kept in memory.
    }
    return TokenSequences(texts.lazy.map(encode))
  }

  // The file: magic, the two checksums and the number of texts, eight bytes each; the ids, four
  // bytes each; where each text's ids end, eight bytes each; the CRC-32 of all that in eight bytes.

  /// The rules by which texts become tokens, counted up where cleaning or tokenising changes, so that no file
  /// of before is taken.
  private static let rules = 1

  private static let magic: UInt64 = 0x314B_4F54_4E45_4C47  // GLENTOK1
  private static let headerSize = 32

  private func write(
    _ texts: some Collection<String>, content: UInt64, to url: URL, _ encode: (String) -> [Int32]
  ) throws {
    try AtomicFile.write(to: url) { append in
      var crc: UInt = 0
      func put(_ bytes: UnsafeRawBufferPointer) throws {
        crc = Self.crc(bytes, crc)
        try append(bytes)
      }
      try [Self.magic, content, vocabulary, UInt64(texts.count)].withUnsafeBytes(put)
      var ends: [Int64] = []
      var tokens: [Int32] = []
      var count = 0
      for text in texts {
        tokens += encode(text)
        ends.append(Int64(count + tokens.count))
        if tokens.count > 1 << 18 {
          try tokens.withUnsafeBytes(put)
          count += tokens.count
          tokens.removeAll(keepingCapacity: true)
        }
      }
      try tokens.withUnsafeBytes(put)
      try ends.withUnsafeBytes(put)
      try withUnsafeBytes(of: UInt64(crc), append)
    }
  }

  /// The sequences of a file, or nil if it is not there, another's, or damaged.
  private func read(_ url: URL, content: UInt64) -> TokenSequences? {
    guard let file = try? MappedFile(url) else { return nil }
    let bytes = UnsafeRawBufferPointer(file.bytes)
    return withExtendedLifetime(file) {
      guard bytes.count >= Self.headerSize + 8 else { return nil }
      func number(_ place: Int) -> UInt64 {
        bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self)
      }
      let last = bytes.count - 8
      guard number(0) == Self.magic, number(8) == content, number(16) == vocabulary,
        let count = Int(exactly: number(24)), count <= (last - Self.headerSize) / 8,
        number(last) == UInt64(Self.crc(UnsafeRawBufferPointer(rebasing: bytes[..<last]), 0))
      else { return nil }
      let ends = last - 8 * count
      var end = 0
      for index in 0..<count {
        guard let next = Int(exactly: number(ends + 8 * index)), next >= end else { return nil }
        end = next
      }
      guard end <= last / 4, Self.headerSize + 4 * end == ends else { return nil }
      return TokenSequences(file, count: count, tokens: Self.headerSize, ends: ends)
    }
  }

  /// zlib's checksum, which takes no more than 4 GB at once.
  private static func crc(_ bytes: UnsafeRawBufferPointer, _ start: UInt) -> UInt {
    var crc = start
    var rest = bytes
    while let base = rest.baseAddress, !rest.isEmpty {
      let count = min(rest.count, 1 << 30)
      crc = crc32(crc, base.assumingMemoryBound(to: UInt8.self), UInt32(count))
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
    return crc
  }
}
