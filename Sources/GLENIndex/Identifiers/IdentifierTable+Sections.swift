/// What a column holds: 16-bit codes where they suffice, otherwise 32-bit ones.
typealias IdentifierCode = FixedWidthInteger & UnsignedInteger & BitwiseCopyable

/// The sections as typed memory. The pointers are good for as long as `memory` lives; whoever keeps
/// one across a call holds on to the table with `withExtendedLifetime`.
extension IdentifierTable {
  /// Where each step's codes begin in `allLevelTokens`, and their total: n + 1 numbers.
  var levelOffsets: UnsafeBufferPointer<UInt32> {
    memory.section(layout.levelOffsets, as: UInt32.self)
  }

  /// The token of every code, step after step.
  var allLevelTokens: UnsafeBufferPointer<UInt32> {
    memory.section(layout.levelTokens, as: UInt32.self)
  }

  /// The token of every code of a step.
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

  /// The code at one place.
  func code(step: Int, row: Int) -> Int {
    layout.codeWidth == 2
      ? Int(column(step, as: UInt16.self)[row]) : Int(column(step, as: UInt32.self)[row])
  }

  /// Where each row's documents begin in `members`, and their total.
  var bucketOffsets: UnsafeBufferPointer<UInt32> {
    memory.section(layout.bucketOffsets, as: UInt32.self)
  }

  /// The documents, row after row, ascending inside a row.
  var members: UnsafeBufferPointer<UInt32> { memory.section(layout.members, as: UInt32.self) }

  /// The documents of one row.
  func members(ofRow row: Int) -> UnsafeBufferPointer<UInt32> {
    let offsets = bucketOffsets
    return UnsafeBufferPointer(rebasing: members[Int(offsets[row])..<Int(offsets[row + 1])])
  }

  /// The row of every document.
  var rows: UnsafeBufferPointer<UInt32> { memory.section(layout.rows, as: UInt32.self) }

  /// The weights of every document, n after n.
  var weights: UnsafeBufferPointer<Float> { memory.section(layout.weights, as: Float.self) }
}
