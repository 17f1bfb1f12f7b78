import GLENIndex

/// One line of a file of documents or queries.
struct DatasetEntry: Equatable {
  var id: String
  var title: String
  var text: String
  var metadata: [String: MetadataValue] = [:]

  /// An entry of a table.
  init(id: String, title: String, text: String) {
    (self.id, self.title, self.text) = (id, title, text)
  }

  /// The entry as a document.
  var document: Document { Document(id: id, title: title, text: text, metadata: metadata) }

  /// Parses a line of JSON; members other than `_id`, `title`, `text` and `metadata` are passed over.
  ///
  /// A number is accepted as `_id`, as it is written; a missing or null `title` is empty. Of
  /// `metadata` strings, numbers and truth values are kept: published corpora have arrays there too,
  /// such as lists of citations, which no filter asks for.
  init(line: [UInt8]) throws(LineProblem) {
    var id: JSONScalar = .null
    var title: JSONScalar = .null
    var text: JSONScalar = .null
    var metadata: JSONScalar = .null
    var parser = JSONLineParser(line)
    try parser.parseObject { name, value in
      switch name {
      case "_id": id = value
      case "title": title = value
      case "text": text = value
      case "metadata": metadata = value
      default: break
      }
    }
    switch id {
    // As an index and a TREC run need them.
    case .string(let value) where value.utf8.contains { $0 < 0x20 || $0 == 0x7F }:
      throw LineProblem(
        expected: "an \"_id\" without tabs and other control characters",
        got: value.debugDescription)
    case .string(let value) where !value.isEmpty: self.id = value
    case .number(let value): self.id = value
    case .string: throw LineProblem(expected: "a non-empty \"_id\"", got: "an empty one")
    case .null: throw LineProblem(expected: "a member \"_id\"", got: "none")
    case .bool, .object, .other:
      throw LineProblem(expected: "a string or a number as \"_id\"", got: "another kind of value")
    }
    switch title {
    case .string(let value), .number(let value): self.title = value
    case .null: self.title = ""
    case .bool, .object, .other:
      throw LineProblem(expected: "a string as \"title\"", got: "another kind of value")
    }
    switch text {
    case .string(let value): self.text = value
    case .null: throw LineProblem(expected: "a member \"text\"", got: "none")
    case .number, .bool, .object, .other:
      throw LineProblem(expected: "a string as \"text\"", got: "another kind of value")
    }
    self.metadata = try Self.metadata(metadata)
  }

  private static func metadata(
    _ value: JSONScalar
  ) throws(LineProblem) -> [String: MetadataValue] {
    switch value {
    case .null: return [:]
    case .object(let members):
      var metadata: [String: MetadataValue] = [:]
      for (name, member) in members {
        switch member {
        case .string(let text): metadata[name] = .string(text)
        case .bool(let isTrue): metadata[name] = .bool(isTrue)
        case .number(let text):
          guard let number = Double(text), number.isFinite else {
            throw LineProblem(
              expected: "numbers in \"metadata\" that a 64-bit float can hold", got: text)
          }
          // A whole number that a float would change stays what it is as its digits.
          let isWhole = text.utf8.allSatisfy { $0 == 0x2D || (0x30...0x39).contains($0) }
          let isExact = !isWhole || Int(text).map { $0.magnitude <= 1 << 53 } ?? false
          metadata[name] = isExact ? .number(number) : .string(text)
        case .null, .object, .other: break
        }
      }
      return metadata
    case .string, .number, .bool, .other:
      throw LineProblem(expected: "an object as \"metadata\"", got: "another kind of value")
    }
  }
}
