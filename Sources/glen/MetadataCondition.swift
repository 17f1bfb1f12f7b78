import ArgumentParser
import GLENIndex

/// `KEY=VALUE`: what a document's metadata must say.
struct MetadataCondition: ExpressibleByArgument {
  let key: String
  let value: String

  init?(argument: String) {
    guard let sign = argument.firstIndex(of: "="), sign != argument.startIndex else { return nil }
    key = String(argument[..<sign])
    value = String(argument[argument.index(after: sign)...])
  }

  /// Whether the value is the key's: the same text, the same number, or `true` or `false`.
  func holds(for metadata: [String: MetadataValue]) -> Bool {
    switch metadata[key] {
    case .string(let text): text == value
    case .number(let number): number == Double(value)
    case .bool(let isTrue): value == "\(isTrue)"
    case nil: false
    }
  }
}
