/// Strings laid end to end in UTF-8, with the offset of each and the total.
struct TextColumn {
  private(set) var offsets: [UInt64] = [0]
  private(set) var bytes: [UInt8] = []

  init(_ texts: [String]) {
    offsets.reserveCapacity(texts.count + 1)
    for text in texts {
      bytes.append(contentsOf: text.utf8)
      offsets.append(UInt64(bytes.count))
    }
  }

  /// Whether one text stands before another in the order of their bytes.
  func precedes(_ left: Int, _ right: Int) -> Bool {
    text(left).lexicographicallyPrecedes(text(right))
  }

  /// The texts' indices, sorted by their bytes.
  func sortedIndices() -> [UInt32] {
    (0..<offsets.count - 1).map { UInt32($0) }.sorted { precedes(Int($0), Int($1)) }
  }

  private func text(_ index: Int) -> ArraySlice<UInt8> {
    bytes[Int(offsets[index])..<Int(offsets[index + 1])]
  }
}
