/// What a column holds: 16-bit codes where they suffice, otherwise 32-bit ones.
typealias IdentifierCode = FixedWidthInteger & UnsignedInteger & BitwiseCopyable & Sendable

/// The sections as typed memory. The pointers are good for as long as `memory` lives; whoever keeps
/// one across a call holds on to the table with `withExtendedLifetime`.
///
/// Level offsets and level tokens were checked when the table was made. Codes and bucket offsets were
/// not, which would take as long as reading the file: whatever comes from them passes one of the
/// clamping functions here.
extension IdentifierTable {
  /// Where each step's codes begin in `allLevelTokens`, and their total: n + 1 numbers.
  var levelOffsets: UnsafeBufferPointer<UInt32> {
    memory.section(layout.levelOffsets, as: UInt32.self)
  }

  /// The token of every code, step after step.
  var allLevelTokens: UnsafeBufferPointer<UInt32> {
    memory.section(layout.levelTokens, as: UInt32.self)
  }

  /// The token of every code of a step; not empty unless the table is.
  func levelTokens(_ step: Int) -> UnsafeBufferPointer<UInt32> {
    let offsets = levelOffsets
    let codes = Int(offsets[step])..<Int(offsets[step + 1])
    return UnsafeBufferPointer(rebasing: allLevelTokens[codes])
  }

  /// One step of every row, as codes; `Code` must have the width that the layout names.
  func column<Code: IdentifierCode>(
    _ step: Int, as type: Code.Type
  ) -> UnsafeBufferPointer<Code> {
    memory.section(layout.columns[step], as: type)
  }

  /// The code at one place, one that names a token of the step.
  func code(step: Int, row: Int) -> Int {
    let code =
      layout.codeWidth == 2
      ? Int(column(step, as: UInt16.self)[row]) : Int(column(step, as: UInt32.self)[row])
    return min(code, Int(levelOffsets[step + 1] - levelOffsets[step]) - 1)
  }

  /// The token at one place.
  func token(step: Int, row: Int) -> UInt32 { levelTokens(step)[code(step: step, row: row)] }

  /// Where each row's documents begin, and their total.
  var bucketOffsets: UnsafeBufferPointer<UInt32> {
    memory.section(layout.bucketOffsets, as: UInt32.self)
  }

  /// The documents of a range of rows.
  @inline(__always)
  func documents(ofRows rows: Range<Int>) -> Range<Int> {
    let offsets = bucketOffsets
    let lower = min(Int(offsets[rows.lowerBound]), documentCount)
    return lower..<min(max(Int(offsets[rows.upperBound]), lower), documentCount)
  }

  /// The row of a document's identifier, which is not before `row`.
  ///
  /// Every row has a document, so the row lies at most as far on as the document does; where it is not
  /// that one, it is behind by at most what the offset there is too large.
  func identifier(ofDocument document: Int, from row: Int) -> Int {
    let offsets = bucketOffsets
    let farthest = min(row + max(document - Int(offsets[row]), 0), identifierCount - 1)
    let excess = Int(offsets[farthest]) - document
    guard excess > 0 else { return farthest }
    let rows = max(farthest - excess, row) + 1..<max(farthest, row + 1)
    return Bisection.firstIndex(in: rows) { Int(offsets[$0]) > document } - 1
  }

  /// One of all the weights, n after n.
  @inline(__always)
  func weight(_ index: Int) -> Float {
    switch layout.weightFormat {
    case .float32: memory.section(layout.weights, as: Float.self)[index]
    case .float16: Float(memory.section(layout.weights, as: Float16.self)[index])
    }
  }
}
