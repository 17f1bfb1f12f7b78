/// One line of a file of documents or queries.
struct DatasetEntry: Equatable {
  var id: String
  var title: String
  var text: String

  /// An entry of a table.
  init(id: String, title: String, text: String) {
    (self.id, self.title, self.text) = (id, title, text)
  }

  /// Parses a line of JSON; members other than `_id`, `title` and `text` are passed over.
  ///
  /// A number is accepted as `_id`, as it is written; a missing or null `title` is empty.
  init(line: [UInt8]) throws(LineProblem) {
    var id: JSONScalar = .null
    var title: JSONScalar = .null
    var text: JSONScalar = .null
    var parser = JSONLineParser(line)
    try parser.parseObject { name, value in
      switch name {
      case "_id": id = value
      case "title": title = value
      case "text": text = value
      default: break
      }
    }
    switch id {
    case .string(let value) where !value.isEmpty: self.id = value
    case .number(let value): self.id = value
    case .string: throw LineProblem(expected: "a non-empty \"_id\"", got: "an empty one")
    case .null: throw LineProblem(expected: "a member \"_id\"", got: "none")
    case .other:
      throw LineProblem(expected: "a string or a number as \"_id\"", got: "another kind of value")
    }
    switch title {
    case .string(let value), .number(let value): self.title = value
    case .null: self.title = ""
    case .other: throw LineProblem(expected: "a string as \"title\"", got: "another kind of value")
    }
    switch text {
    case .string(let value): self.text = value
    case .null: throw LineProblem(expected: "a member \"text\"", got: "none")
    case .number, .other:
      throw LineProblem(expected: "a string as \"text\"", got: "another kind of value")
    }
  }
}
