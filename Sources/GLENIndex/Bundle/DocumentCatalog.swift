/// The documents' own names and, where they were given, their titles.
///
/// Names are compared byte by byte in UTF-8. A catalog is one immutable region of bytes with the
/// layout of `documents.bin`, in memory or mapped from a file, so a copy costs nothing.
public struct DocumentCatalog: Sendable {
  let memory: IndexMemory
  private let layout: DocumentLayout

  /// Adopts a region of bytes after checking every number in it.
  init(memory: IndexMemory, path: String) throws(IndexError) {
    self.memory = memory
    self.layout = try DocumentLayout.read(memory, path: path)
    try withExtendedLifetime(memory) { () throws(IndexError) in
      try validate(path: path)
    }
  }

  /// Collects names, which must differ from one another, and titles.
  ///
  /// - Parameters:
  ///   - identifiers: The documents' own names, in document order.
  ///   - titles: As many titles, or nil for none.
  /// - Throws: ``IndexError/invalidDocuments(_:)`` if two names are equal or the counts differ.
  /// - Complexity: O(documents * log(documents)) comparisons of names.
  public init(identifiers: [String], titles: [String]? = nil) throws(IndexError) {
    if let titles, titles.count != identifiers.count {
      throw .invalidDocuments(
        "collect documents: the titles do not match the names; expected \(identifiers.count) "
          + "titles, got \(titles.count); give every document a title, or none")
    }
    let names = TextColumn(identifiers)
    let titleTexts = titles.map { TextColumn($0) }
    guard
      let layout = DocumentLayout(
        count: identifiers.count, hasTitles: titles != nil, nameLength: names.bytes.count,
        titleLength: titleTexts?.bytes.count ?? 0)
    else {
      throw .invalidDocuments(
        "collect documents: there are too many; expected fewer than \(UInt32.max), got "
          + "\(identifiers.count); split the corpus")
    }
    let order = names.sortedIndices()
    for place in order.indices.dropFirst()
    where !names.precedes(Int(order[place - 1]), Int(order[place])) {
      let (first, second) = (order[place - 1], order[place])
      throw .invalidDocuments(
        "collect documents: documents \(min(first, second)) and \(max(first, second)) have the "
          + "same name; expected distinct names, got \"\(identifiers[Int(first)])\" twice; "
          + "rename or remove one")
    }
    let memory = IndexMemory(count: layout.length) { bytes in
      layout.writeHeader(to: bytes)
      names.offsets.withUnsafeBytes { bytes.store($0, at: layout.nameOffsets) }
      names.bytes.withUnsafeBytes { bytes.store($0, at: layout.names) }
      order.withUnsafeBytes { bytes.store($0, at: layout.order) }
      if let titleTexts {
        titleTexts.offsets.withUnsafeBytes { bytes.store($0, at: layout.titleOffsets) }
        titleTexts.bytes.withUnsafeBytes { bytes.store($0, at: layout.titles) }
      }
    }
    try self.init(memory: memory, path: "the catalog in memory")
  }

  /// How many documents the catalog names.
  ///
  /// - Complexity: O(1).
  public var count: Int { layout.count }

  /// Whether the documents have titles.
  ///
  /// - Complexity: O(1).
  public var hasTitles: Bool { layout.hasTitles }

  /// A document's own name.
  ///
  /// - Precondition: `document` is in `0..<count`.
  /// - Complexity: O(length of the name).
  public func identifier(ofDocument document: Int) -> String {
    precondition(document >= 0 && document < count, "No document has this number.")
    return withExtendedLifetime(memory) { String(decoding: name(document), as: UTF8.self) }
  }

  /// A document's title, or nil if no titles were given.
  ///
  /// - Precondition: `document` is in `0..<count`.
  /// - Complexity: O(length of the title).
  public func title(ofDocument document: Int) -> String? {
    precondition(document >= 0 && document < count, "No document has this number.")
    guard hasTitles else { return nil }
    return withExtendedLifetime(memory) {
      String(
        decoding: text(document, offsets: layout.titleOffsets, bytes: layout.titles), as: UTF8.self)
    }
  }

  /// The number of the document with a name, or nil if none has it.
  ///
  /// - Complexity: O(log(documents)) comparisons of names.
  public func document(withIdentifier identifier: String) -> Int? {
    let wanted = Array(identifier.utf8)
    return withExtendedLifetime(memory) {
      let order = memory.section(layout.order, as: UInt32.self)
      var (lower, upper) = (0, count)
      while lower < upper {
        let middle = lower + (upper - lower) / 2
        if name(Int(order[middle])).lexicographicallyPrecedes(wanted) {
          lower = middle + 1
        } else {
          upper = middle
        }
      }
      guard lower < count, name(Int(order[lower])).elementsEqual(wanted) else { return nil }
      return Int(order[lower])
    }
  }

  private func name(_ document: Int) -> UnsafeRawBufferPointer {
    text(document, offsets: layout.nameOffsets, bytes: layout.names)
  }

  private func text(
    _ document: Int, offsets: Section, bytes: Section
  ) -> UnsafeRawBufferPointer {
    let offsets = memory.section(offsets, as: UInt64.self)
    let lower = bytes.offset + Int(offsets[document])
    return UnsafeRawBufferPointer(
      rebasing: memory.bytes[lower..<bytes.offset + Int(offsets[document + 1])])
  }

  private func validate(path: String) throws(IndexError) {
    try validateOffsets(layout.nameOffsets, length: layout.nameLength, path: path)
    if hasTitles {
      try validateOffsets(layout.titleOffsets, length: layout.titleLength, path: path)
    }
    // Strictly ascending names are all different, and so are the documents that have them.
    let order = memory.section(layout.order, as: UInt32.self)
    for place in order.indices {
      guard Int(order[place]) < count,
        place == 0
          || name(Int(order[place - 1])).lexicographicallyPrecedes(name(Int(order[place])))
      else {
        throw .damagedFile(
          path: path, problem: "its names are out of order, or a name occurs twice")
      }
    }
  }

  private func validateOffsets(
    _ section: Section, length: Int, path: String
  ) throws(IndexError) {
    let offsets = memory.section(section, as: UInt64.self)
    var isOrdered = offsets[0] == 0 && offsets[count] == UInt64(length)
    for document in 0..<count where offsets[document] > offsets[document + 1] { isOrdered = false }
    guard isOrdered else {
      throw .damagedFile(path: path, problem: "the offsets of its texts are out of order")
    }
  }
}
