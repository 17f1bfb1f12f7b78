extension IdentifierTable {
  /// Checks everything that a sound table keeps to, in time linear in its size.
  func validate(path: String) throws(IndexError) {
    try withExtendedLifetime(memory) { () throws(IndexError) in
      if layout.codeWidth == 2 {
        try validateColumns(UInt16.self, path: path)
      } else {
        try validateColumns(UInt32.self, path: path)
      }
      let offsets = bucketOffsets
      var isOrdered = offsets[0] == 0 && Int(offsets[identifierCount]) == documentCount
      for row in 0..<identifierCount where offsets[row] >= offsets[row + 1] { isOrdered = false }
      guard isOrdered else {
        throw .damagedFile(path: path, problem: "the document counts of its identifiers are wrong")
      }
      for index in 0..<documentCount * identifierLength where !weight(index).isFinite {
        throw .damagedFile(path: path, problem: "a weight is not finite")
      }
    }
  }

  /// Checks the tokens of the steps: all that has to be true for a search to be safe.
  func validateLevels(path: String) throws(IndexError) {
    let offsets = levelOffsets
    var isOrdered = offsets[0] == 0 && Int(offsets[identifierLength]) == layout.levelTokenCount
    for step in 0..<identifierLength
    where offsets[step] > offsets[step + 1]
      || (offsets[step] == offsets[step + 1]) != (identifierCount == 0)
    {
      isOrdered = false
    }
    guard isOrdered else {
      throw .damagedFile(path: path, problem: "the token counts of its steps are wrong")
    }
    for step in 0..<identifierLength {
      let tokens = levelTokens(step)
      guard layout.codeWidth == 4 || tokens.count <= 1 << 16 else {
        throw .damagedFile(path: path, problem: "step \(step) has too many tokens for its codes")
      }
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
}
