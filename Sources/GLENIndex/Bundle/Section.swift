/// Where one array lies inside a file of an index folder.
struct Section: Sendable, Equatable {
  /// Bytes from the beginning of the file, a multiple of 64.
  var offset: Int

  /// Length in bytes, without the padding up to the next multiple of 64.
  var length: Int

  /// The first byte behind the section.
  var end: Int { offset + length }

  /// Appends a section behind `cursor` and moves `cursor` to the next multiple of 64.
  ///
  /// Returns nil where the lengths are too large for this machine.
  static func append(count: Int, stride: Int, cursor: inout Int) -> Section? {
    let (length, overflowed) = count.multipliedReportingOverflow(by: stride)
    let (end, endOverflowed) = cursor.addingReportingOverflow(length)
    let (padded, padOverflowed) = end.addingReportingOverflow(63)
    guard count >= 0, !overflowed, !endOverflowed, !padOverflowed else { return nil }
    let section = Section(offset: cursor, length: length)
    cursor = padded & ~63
    return section
  }
}

extension UnsafeMutableRawBufferPointer {
  /// Copies bytes into a section that is as long as they are.
  func store(_ source: UnsafeRawBufferPointer, at section: Section) {
    UnsafeMutableRawBufferPointer(rebasing: self[section.offset..<section.end])
      .copyMemory(from: source)
  }
}
