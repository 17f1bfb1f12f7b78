extension IdentifierTable {
  /// Checks everything that the searches rely on, so that no file can lead them astray.
  ///
  /// Linear in the size of the table.
  func validate(path: String) throws(IndexError) {
    try withExtendedLifetime(memory) { () throws(IndexError) in
      try validateLevels(path: path)
      if layout.codeWidth == 2 {
        try validateColumns(UInt16.self, path: path)
      } else {
        try validateColumns(UInt32.self, path: path)
      }
      try validateBuckets(path: path)
      guard Self.areFinite(weights) else {
        throw .damagedFile(path: path, problem: "a weight is not finite")
      }
    }
  }

  private func validateLevels(path: String) throws(IndexError) {
    let offsets = levelOffsets
    var isOrdered = offsets[0] == 0 && Int(offsets[identifierLength]) == layout.levelTokenCount
    for step in 0..<identifierLength where offsets[step] > offsets[step + 1] { isOrdered = false }
    guard isOrdered else {
      throw .damagedFile(path: path, problem: "the token counts of its steps are not in order")
    }
    for step in 0..<identifierLength {
      let tokens = levelTokens(step)
      for code in tokens.indices {
        guard tokens[code] < vocabularySize, code == 0 || tokens[code - 1] < tokens[code] else {
          throw .damagedFile(
            path: path, problem: "the tokens of step \(step) are out of order or out of range")
        }
      }
    }
  }

  private func validateColumns<Code: IdentifierCode>(
    _ type: Code.Type, path: String
  ) throws(IndexError) {
    guard identifierCount > 0 else { return }
    let columns = (0..<identifierLength).map { column($0, as: type) }
    for (step, column) in columns.enumerated() {
      var largest: Code = 0
      for code in column { largest = code > largest ? code : largest }
      guard Int(largest) < levelTokens(step).count else {
        throw .damagedFile(path: path, problem: "a code of step \(step) names no token")
      }
    }
    for row in 1..<max(identifierCount, 1) {
      var step = 0
      while step < identifierLength, columns[step][row - 1] == columns[step][row] { step += 1 }
      guard step < identifierLength, columns[step][row - 1] < columns[step][row] else {
        throw .damagedFile(path: path, problem: "identifier \(row) is not behind the one before it")
      }
    }
  }

  private func validateBuckets(path: String) throws(IndexError) {
    let offsets = bucketOffsets
    var isOrdered = offsets[0] == 0 && Int(offsets[identifierCount]) == documentCount
    for row in 0..<identifierCount where offsets[row] >= offsets[row + 1] { isOrdered = false }
    guard isOrdered else {
      throw .damagedFile(path: path, problem: "the document counts of its identifiers are wrong")
    }
    // Ascending inside a row, and every document says that it belongs there: each occurs once.
    for row in 0..<identifierCount {
      var previous = -1
      for member in members(ofRow: row) {
        guard Int(member) > previous, Int(member) < documentCount, Int(rows[Int(member)]) == row
        else {
          throw .damagedFile(path: path, problem: "the documents of identifier \(row) are wrong")
        }
        previous = Int(member)
      }
    }
  }

  /// Whether no value is NaN or infinite; plain integer work that vectorises.
  static func areFinite(_ values: UnsafeBufferPointer<Float>) -> Bool {
    var largest: Int32 = 0
    for value in values {
      let magnitude = Int32(bitPattern: value.bitPattern & 0x7FFF_FFFF)
      largest = magnitude > largest ? magnitude : largest
    }
    return largest < 0x7F80_0000
  }
}
