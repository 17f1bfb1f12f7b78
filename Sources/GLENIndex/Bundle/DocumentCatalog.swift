import GLENPlatform

/// The documents' own names and, where they were given, their titles and metadata.
///
/// Names are compared byte by byte in UTF-8. A catalog is one immutable region of bytes with the
/// layout of a documents file, in memory or mapped, so a copy costs nothing. A damaged file may give
/// wrong texts, but every number in it is clamped before it is used, and what is no UTF-8 is repaired;
/// `validate` finds what is wrong.
public struct DocumentCatalog: Sendable {
  let memory: IndexMemory
  private let layout: DocumentLayout

  /// Adopts a region of bytes after checking its header.
  ///
  /// - Complexity: O(1).
  init(memory: IndexMemory, path: String) throws(IndexError) {
    self.memory = memory
    self.layout = try DocumentLayout(reading: memory, path: path)
  }

  /// Collects names, which must differ from one another, titles, and metadata.
  ///
  /// - Parameters:
  ///   - identifiers: The documents' own names, in document order.
  ///   - titles: As many titles, or nil for none.
  ///   - metadata: As many dictionaries, or nil for none.
  /// - Throws: ``IndexError/invalidDocuments(_:)`` if two names are equal, a name has a control
  ///   character such as a tab or a line break, the counts differ, or a number is not finite.
  /// - Complexity: O(documents * log(documents)) comparisons of names.
  public init(
    identifiers: [String], titles: [String]? = nil, metadata: [[String: MetadataValue]]? = nil
  ) throws(IndexError) {
    for (kind, count) in [("titles", titles?.count), ("metadata", metadata?.count)] {
      guard let count, count != identifiers.count else { continue }
      throw .invalidDocuments(
        "collect documents: the \(kind) do not match the names; expected \(identifiers.count) "
          + "\(kind), got \(count); give them for every document, or for none")
    }
    // Runs, judgements and files of identifiers are lines of columns, which these would break.
    if let name = identifiers.first(where: { $0.utf8.contains(where: Self.isControl) }) {
      throw .invalidDocuments(
        "collect documents: a name has a control character; expected names without tabs and line "
          + "breaks, got \(name.debugDescription); rename the document")
    }
    let names = TextColumn(identifiers)
    let titleTexts = titles.map { TextColumn($0) }
    let metadataTexts = try Self.metadataTexts(metadata, identifiers).map { TextColumn($0) }
    guard
      let layout = DocumentLayout(
        flags: (titles == nil ? 0 : 1) | (metadata == nil ? 0 : 2),
        counts: [
          identifiers.count, names.bytes.count, titleTexts?.bytes.count ?? 0,
          metadataTexts?.bytes.count ?? 0,
        ])
    else {
      throw .invalidDocuments(
        "collect documents: there are too many; expected fewer than \(UInt32.max), got "
          + "\(identifiers.count); split the corpus")
    }
    let order = names.sortedIndices()
    for place in order.indices.dropFirst()
    where !names.precedes(Int(order[place - 1]), Int(order[place])) {
      throw .invalidDocuments(
        "collect documents: two have the same name; expected distinct names, got "
          + "\"\(identifiers[Int(order[place])])\" twice; rename or remove one")
    }
    let memory = IndexMemory(count: layout.length) { bytes in
      layout.writeHeader(to: bytes)
      order.withUnsafeBytes { bytes.store($0, at: layout.order) }
      for (texts, place) in [
        (names, layout.names), (titleTexts, layout.titles), (metadataTexts, layout.metadata),
      ] {
        guard let texts else { continue }
        texts.offsets.withUnsafeBytes { bytes.store($0, at: place.offsets) }
        texts.bytes.withUnsafeBytes { bytes.store($0, at: place.bytes) }
      }
    }
    try self.init(memory: memory, path: "the catalog in memory")
  }

  /// Whether a byte is a control character of ASCII.
  private static func isControl(_ byte: UInt8) -> Bool { byte < 0x20 || byte == 0x7F }

  /// Each document's metadata as one JSON object, or nothing where there is none.
  private static func metadataTexts(
    _ metadata: [[String: MetadataValue]]?, _ names: [String]
  ) throws(IndexError) -> [String]? {
    guard let metadata else { return nil }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    var texts: [String] = []
    for (values, name) in zip(metadata, names) {
      guard let data = values.isEmpty ? Data() : try? encoder.encode(values) else {
        throw .invalidDocuments(
          "collect documents: the metadata of \"\(name)\" cannot be written as JSON; expected "
            + "finite numbers, got \(values); leave out what has no value")
      }
      texts.append(String(decoding: data, as: UTF8.self))
    }
    return texts
  }

  /// How many documents the catalog names.
  ///
  /// - Complexity: O(1).
  public var count: Int { layout.count }

  /// Whether the documents have titles.
  ///
  /// - Complexity: O(1).
  public var hasTitles: Bool { layout.hasTitles }

  /// Whether any document has metadata.
  ///
  /// - Complexity: O(1).
  public var hasMetadata: Bool { layout.hasMetadata }

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
      String(decoding: text(document, layout.titles), as: UTF8.self)
    }
  }

  /// A document's metadata, empty if it has none.
  ///
  /// - Precondition: `document` is in `0..<count`.
  /// - Complexity: O(length of the metadata).
  public func metadata(ofDocument document: Int) -> [String: MetadataValue] {
    precondition(document >= 0 && document < count, "No document has this number.")
    guard hasMetadata else { return [:] }
    return (try? metadataOrError(ofDocument: document)) ?? [:]
  }

  private func metadataOrError(ofDocument document: Int) throws -> [String: MetadataValue] {
    try withExtendedLifetime(memory) {
      let json = text(document, layout.metadata)
      if json.isEmpty { return [:] }
      return try FlatObject.values(json)
        ?? JSONDecoder().decode([String: MetadataValue].self, from: Data(json))
    }
  }

  /// The number of the document with a name, or nil if none has it.
  ///
  /// - Complexity: O(log(documents)) comparisons of names.
  public func document(withIdentifier identifier: String) -> Int? {
    let wanted = Array(identifier.utf8)
    return withExtendedLifetime(memory) {
      let place = Bisection.firstIndex(in: 0..<count) {
        !name(named($0)).lexicographicallyPrecedes(wanted)
      }
      guard place < count, name(named(place)).elementsEqual(wanted) else { return nil }
      return named(place)
    }
  }

  /// The document at a place in the order of the names.
  private func named(_ place: Int) -> Int {
    min(Int(memory.section(layout.order, as: UInt32.self)[place]), count - 1)
  }

  private func name(_ document: Int) -> UnsafeRawBufferPointer { text(document, layout.names) }

  private func text(_ document: Int, _ texts: DocumentLayout.Texts) -> UnsafeRawBufferPointer {
    let offsets = memory.section(texts.offsets, as: UInt64.self)
    let lower = Int(min(offsets[document], UInt64(texts.bytes.length)))
    let upper = max(lower, Int(min(offsets[document + 1], UInt64(texts.bytes.length))))
    let first = texts.bytes.offset
    return UnsafeRawBufferPointer(rebasing: memory.bytes[first + lower..<first + upper])
  }

  /// Checks everything that a sound catalog keeps to, in time linear in its size.
  func validate(path: String) throws(IndexError) {
    try withExtendedLifetime(memory) { () throws(IndexError) in
      try validate(layout.names, isThere: true, path: path)
      try validate(layout.titles, isThere: hasTitles, path: path)
      try validate(layout.metadata, isThere: hasMetadata, path: path)
      // Strictly ascending names are all different, and so are the documents that have them.
      let order = memory.section(layout.order, as: UInt32.self)
      for place in order.indices {
        guard Int(order[place]) < count,
          place == 0
            || name(named(place - 1)).lexicographicallyPrecedes(name(named(place)))
        else {
          throw .damagedFile(
            path: path, problem: "its names are out of order, or a name occurs twice")
        }
      }
      for document in 0..<count where name(document).contains(where: Self.isControl) {
        throw .damagedFile(
          path: path, problem: "the name of document \(document) has a control character")
      }
      guard hasMetadata else { return }
      for document in 0..<count where (try? metadataOrError(ofDocument: document)) == nil {
        throw .damagedFile(path: path, problem: "the metadata of document \(document) is no JSON")
      }
    }
  }

  private func validate(
    _ texts: DocumentLayout.Texts, isThere: Bool, path: String
  ) throws(IndexError) {
    guard isThere else { return }
    let offsets = memory.section(texts.offsets, as: UInt64.self)
    var isOrdered = offsets[0] == 0 && offsets[count] == UInt64(texts.bytes.length)
    for document in 0..<count where offsets[document] > offsets[document + 1] { isOrdered = false }
    guard isOrdered else {
      throw .damagedFile(path: path, problem: "the offsets of its texts are out of order")
    }
    for document in 0..<count
    where String(validating: text(document, texts), as: UTF8.self) == nil {
      throw .damagedFile(path: path, problem: "a text of document \(document) is not UTF-8")
    }
  }
}
